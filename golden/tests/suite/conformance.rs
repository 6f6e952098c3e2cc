//! One line makes the suite a kernel's tests; a wrong kernel fails them and reads why.

use golden::check::{DecodeValues, Diagnosis, Values, assert_committed_case, assert_committed_trace, run, run_traces};
use golden::rendering::{Deviation, Rendering};
use golden::{Case, DecodeTrace, OutputKind, OutputSpec, Precision, Suite};
use ndarray::s;

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

/// An honest decode loop in f32.
fn decode(trace: &DecodeTrace) -> Option<DecodeValues> {
    Some(decoded(Rendering::online(Precision::F32, 4), trace))
}

fn decoded(rendering: Rendering, trace: &DecodeTrace) -> DecodeValues {
    let decoded = rendering.decode(&trace.problem, &trace.policy);
    let values = |numbers| Values {
        numbers,
        stored: Precision::F32,
    };
    DecodeValues {
        prefill_saliency: Some(values(decoded.prefill_saliency.into_dyn())),
        step_saliency: Some(values(decoded.step_saliency.into_dyn())),
        kept: Some(decoded.kept.mapv(|position| position as i64).into_dyn()),
    }
}

mod traces {
    use super::{decode, kernel};

    golden::conformance! { kernel = kernel, decode = decode, exp_ulps = 1, families = ["decode", "subnormal"] }
}

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
fn a_wrong_decode_loop_is_told_its_bug() {
    let wrong = Rendering::plain(Precision::F32).with(Deviation::DecodeOverwritten);
    let failure = std::panic::catch_unwind(|| {
        assert_committed_trace("decode/joint.f16", Precision::F32, |trace| Some(decoded(wrong, trace)));
    });
    let text = *failure.unwrap_err().downcast::<String>().unwrap();
    for words in [
        "matches: decoding: saliencies overwritten at every step instead of accumulated\n",
        "step-saliency: ",
        "worst at step",
        "kept: query_head ",
        " belong",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert!(!text.contains("or as well"), "{text}");
}

#[test]
fn impossible_positions_are_told_and_the_saliencies_judged() {
    let mut suite = suite();
    suite.decode_traces.retain(|trace| trace.id == "decode/key.f32");
    let report = run_traces(&suite, Precision::F32, |trace| {
        let mut values = decode(trace)?;
        values.kept.as_mut()?[[3, 1, 0]] = -7;
        Some(values)
    })
    .unwrap();
    let text = report.to_string();
    assert!(
        text.contains("kept: 1 of 476 wrong; first at cut 3, query_head 1, slot 0: got -7, expected exactly "),
        "{text}"
    );
    assert!(
        text.contains("which are not cached tokens in ascending order"),
        "{text}"
    );
    assert!(report.cases[0].judgements[1].passed(), "{text}");
}

#[test]
fn a_choice_that_the_bound_cannot_tell_is_either_way_right() {
    // The first 18 tokens are one token 18 times: all as salient as each other, of which the cut keeps some 9.
    let mut suite = suite();
    suite.decode_traces.retain(|trace| trace.id == "decode/weight.f32");
    let trace = &mut suite.decode_traces[0];
    for tensor in [&mut trace.problem.key, &mut trace.problem.value] {
        let row = tensor.slice(s![0, 0, ..]).to_owned();
        for position in 1..18 {
            tensor.slice_mut(s![0, position, ..]).assign(&row);
        }
    }
    let exact = Rendering::plain(Precision::F64).decode(&trace.problem, &trace.policy);
    trace.prefill_saliency = exact.prefill_saliency;
    trace.step_saliency = exact.step_saliency;
    trace.kept = exact.kept;
    let instead = |from: i64, to: i64| {
        let mut kept = suite.decode_traces[0].kept.mapv(|position| position as i64).into_dyn();
        for mut row in kept.rows_mut() {
            row.mapv_inplace(|position| if position == from { to } else { position });
            let mut sorted = row.to_vec();
            sorted.sort();
            row.assign(&ndarray::Array1::from(sorted));
        }
        let kept = Some(kept);
        run_traces(&suite, Precision::F32, |_| {
            let kept = kept.clone();
            Some(DecodeValues {
                kept,
                ..DecodeValues::default()
            })
        })
        .unwrap()
    };
    let tie = instead(0, 17);
    assert!(tie.passed(), "{tie}");
    let words = "kept: query_head 0, cut 0: keeps [17] where [0] are nearer than the bound: either is right";
    assert!(tie.to_string().contains(words), "{tie}");
    // The newest token is kept by order, whatever its saliency.
    let wrong = instead(23, 17);
    assert!(
        !wrong.passed() && wrong.to_string().contains("keeps [17] where [23] belong"),
        "{wrong}"
    );
}

#[test]
fn an_error_of_the_size_of_a_precision_is_told_from_a_bug() {
    let mut suite = suite();
    suite
        .cases
        .retain(|case| case.family == "plain" && case.dtype == golden::Dtype::F32);
    for (deviation, other) in [
        (Deviation::AccumulatedF16, Deviation::AccumulatedBf16),
        (Deviation::AccumulatedBf16, Deviation::AccumulatedF16),
    ] {
        // In another order than the library's own rendering: no number is the same.
        let kernel = Rendering::online(Precision::F32, 3).with(deviation);
        let report = run(&suite, Precision::F32, |case, output| render(kernel, case, output)).unwrap();
        let Some(Diagnosis::ErrsLike(alike)) = &report.diagnosis else {
            panic!("{:?}", report.diagnosis);
        };
        let named: Vec<Deviation> = alike.iter().map(|alike| alike.deviation).collect();
        assert!(named.contains(&deviation) && !named.contains(&other), "{named:?}");
    }
}

#[test]
fn a_few_numbers_a_little_off_match_no_bug() {
    let mut suite = suite();
    suite.cases.retain(|case| case.id == "tokens/127.bf16");
    let report = run(&suite, Precision::F32, |case, output| {
        let mut values = kernel(case, output).filter(|_| *output == OutputSpec::from(OutputKind::Joint))?;
        values.numbers[[0, 5]] *= 1.0 - 6e-6;
        Some(values)
    })
    .unwrap();
    assert_eq!(report.cases[0].judgements[0].failed, 1);
    assert_eq!(report.diagnosis, Some(Diagnosis::Unknown(None)), "{report}");
}

#[test]
fn a_coarser_exponential_is_granted_what_it_is_said_to_err() {
    let mut suite = suite();
    suite.cases.retain(|case| case.id == "plain/causal.f32");
    let coarse = |case: &Case, output: &OutputSpec| {
        let mut values = kernel(case, output).filter(|_| output.kind == OutputKind::Weight)?;
        values.numbers.mapv_inplace(|weight| weight * (1.0 + 2e-6));
        Some(values)
    };
    let arithmetic = golden::Arithmetic::uniform(Precision::F32);
    assert!(!run(&suite, arithmetic, coarse).unwrap().passed());
    assert!(run(&suite, arithmetic.with_exp_ulps(16.0), coarse).unwrap().passed());
}

fn suite() -> Suite {
    Suite::read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")).unwrap()
}

#[test]
fn what_a_kernel_does_not_compute_is_not_held_against_it() {
    let mut suite = suite();
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
    let mut suite = suite();
    suite.cases.retain(|case| case.id == "tokens/003.f32");
    let report = run(&suite, Precision::F32, |_, output| {
        (output.kind == OutputKind::Weight).then(|| Values::from(ndarray::array![1f32, 2.0].into_dyn()))
    });
    let text = report.unwrap().to_string();
    assert!(text.contains("weight: shape [2], expected [1, 3]"), "{text}");
}
