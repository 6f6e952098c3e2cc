//! One line makes the suite a kernel's tests; a wrong kernel fails them and reads why.

use golden::check::{Values, assert_committed_case, run};
use golden::rendering::{Deviation, Rendering};
use golden::{Case, OutputKind, OutputSpec, Precision, Suite};

/// An honest kernel in f32.
fn kernel(case: &Case, output: &OutputSpec) -> Option<Values> {
    render(Rendering::online(Precision::F32, 8), case, output)
}

fn render(rendering: Rendering, case: &Case, output: &OutputSpec) -> Option<Values> {
    Some(Values {
        numbers: rendering.render(&case.problem, output),
        stored: Precision::F32,
    })
}

golden::conformance! { kernel = kernel, accumulate = F32, families = ["near-one", "masked"] }

mod by_flag {
    use super::kernel;

    golden::conformance! { kernel = kernel, flags = ["softcap-slope"] }
}

#[test]
fn a_wrong_kernel_is_told_its_bug() {
    let wrong = Rendering::plain(Precision::F32).with(Deviation::CausalTopLeft);
    let failure = std::panic::catch_unwind(|| {
        assert_committed_case("bottom-right/chunk.f32", Precision::F32, |case, output| {
            render(wrong, case, output)
        });
    });
    let text = *failure.unwrap_err().downcast::<String>().unwrap();
    for words in [
        "matches: causal mask aligned top-left",
        "bottom-right",
        "worst at query_head",
        "bounds",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
}

#[test]
fn what_a_kernel_does_not_compute_is_not_held_against_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let mut suite = Suite::read(&folder).unwrap();
    suite.cases.retain(|case| case.family == "grouped");
    let report = run(&suite, Precision::F32, |case, output| {
        (output.kind == OutputKind::Joint)
            .then(|| kernel(case, output))
            .flatten()
    })
    .unwrap();
    assert!(report.passed() && report.complete(), "{report}");
    assert_eq!(report.cases[0].judgements.len(), 4, "joint, and its three reductions");
    assert_eq!(report.families().len(), 1);
}

#[test]
fn another_shape_is_refused_by_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let mut suite = Suite::read(&folder).unwrap();
    suite.cases.retain(|case| case.id == "tokens/003.f32");
    let report = run(&suite, Precision::F32, |_, output| {
        (output.kind == OutputKind::Weight).then(|| Values::from(ndarray::array![1f32, 2.0].into_dyn()))
    });
    let text = report.unwrap().to_string();
    assert!(text.contains("weight: shape [2], expected [1, 3]"), "{text}");
}
