//! The committed golden suite: certified, regenerated to the byte, told apart by the data, and read by a stranger.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::Command;

use golden::{AttentionProblem, Case, DecodeTrace, OutputKind, OutputSpec, TwinRelation};
use indicatif::ProgressBar;
use ndarray::{Array3, ArrayD, Axis, Slice, s};
use obcache_scores::serve::{Policy, Tracker};
use obcache_scores::{Score, accumulate, exact};
use obd_core::{Head, Perturbation, QueryWindow};
use reference_attention::{HighPrecision, Scalar, attend, oracle};
use verify::golden::{differences, generate};
use verify::tolerance;

use crate::{SUITE, root, vectors};

/// The plain outputs of a kind, over all queries and for each query head.
fn plain(case: &Case, kind: OutputKind) -> Option<&ArrayD<f64>> {
    let spec = OutputSpec::from(kind);
    (case.outputs.iter())
        .find(|output| output.spec == spec)
        .map(|output| &output.truth)
}

/// Generating is certifying: a number whose bounds do not round alike stops it.
#[test]
fn c23_every_golden_number_is_certified_and_regenerates_to_the_byte() {
    let files = generate(&root().join("captures"), &ProgressBar::hidden()).unwrap();
    assert_eq!(differences(&vectors(), &files), Vec::<String>::new());
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 12_000_000, "{bytes} bytes");
}

/// Brute force in 376 bits: change the cache, attend again, subtract. No formula is shared but attention itself.
#[test]
fn c23_brute_force_in_high_precision_rounds_to_the_golden_numbers() {
    let truths = [
        (OutputKind::Removal, Perturbation::Removal),
        (OutputKind::KeyZeroing, Perturbation::KeyZeroing),
        (OutputKind::Value, Perturbation::ValueZeroing),
        (OutputKind::JointZeroing, Perturbation::JointZeroing),
    ];
    let mut compared = 0;
    for case in SUITE.cases.iter().filter(|case| is_small(case)) {
        for (h, head) in case.problem.heads().unwrap().iter().enumerate() {
            let lifted = head.lift(|&x| HighPrecision::from_f64(x));
            for (kind, perturbation) in truths {
                let Some(golden) = plain(case, kind) else { continue };
                let errors = oracle::token_errors(&lifted, perturbation, QueryWindow::All);
                for (token, error) in errors.iter().enumerate() {
                    let (error, golden) = (error.to_f64(), golden[[h, token]]);
                    // An exact 0 by a form that cancels is brute force's own rounding, squared, of at most 2^-700.
                    let agrees = error == golden || (golden == 0.0 && error < 1e-200);
                    assert!(agrees, "{} {kind:?} {h} {token}: {error:e}, golden {golden:e}", case.id);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1000, "{compared} compared");
}

/// Few enough pairs for brute force, and no weight so near 1 that 376 bits cannot tell it from 1.
fn is_small(case: &Case) -> bool {
    let problem = &case.problem;
    problem.kv_len() <= 13 && problem.query_len() <= 16 && !case.id.starts_with("large-logits/exp-f64")
}

/// The closed forms, in 64-bit floats, agree with the golden numbers within what floats lose.
#[test]
fn c23_closed_forms_in_floats_agree_with_the_golden_numbers() {
    let mut compared = 0;
    for case in &SUITE.cases {
        for (h, head) in case.problem.heads().unwrap().iter().enumerate() {
            let trace = attend(head);
            for (kind, saliency) in closed_forms(head, &trace) {
                let Some(golden) = plain(case, kind) else { continue };
                let tolerance = allowed(head, kind);
                for (token, found) in saliency.iter().enumerate() {
                    let golden = golden[[h, token]];
                    let agrees = (found - golden).abs() <= tolerance;
                    assert!(
                        agrees,
                        "{} {kind:?} {h} {token}: {found:e}, golden {golden:e} ± {tolerance:e}",
                        case.id
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 10_000, "{compared} compared");
}

fn closed_forms(head: &Head, trace: &obd_core::AttentionTrace) -> Vec<(OutputKind, ndarray::Array1<f64>)> {
    let sum = |contributions| accumulate(&contributions, QueryWindow::All);
    let scores = [
        (OutputKind::Weight, Score::Weight),
        (OutputKind::Value, Score::Value),
        (OutputKind::ValueOneNorm, Score::ValueOneNorm),
        (OutputKind::Key, Score::Key),
        (OutputKind::Joint, Score::Joint),
        (OutputKind::JointNoCross, Score::JointNoCross),
        (OutputKind::Removal, Score::Removal),
        (OutputKind::KeyLse, Score::KeyLse),
        (OutputKind::KeyMean, Score::KeyMean),
        (OutputKind::JointLse, Score::JointLse),
        (OutputKind::JointMean, Score::JointMean),
    ];
    let truths = [
        (OutputKind::KeyZeroing, Perturbation::KeyZeroing),
        (OutputKind::JointZeroing, Perturbation::JointZeroing),
    ];
    let first = scores.map(|(kind, score)| (kind, sum(score.contributions(head, trace))));
    let second = truths.map(|(kind, what)| (kind, sum(exact::contributions(what, head, trace))));
    first.into_iter().chain(second).collect()
}

/// `tolerance.rs`: a weight's error for sums of weights, a squared change's for the others. Logits, log weights and
/// logits above their mean are at most twice the largest input and the log of the number of tokens.
fn allowed(head: &Head, kind: OutputKind) -> f64 {
    let queries = head.query_len() as f64;
    let stretch = 1.0 + 2.0 * tolerance::largest_input(head) + (head.kv_len() as f64).ln();
    match kind {
        OutputKind::Weight => 2.0 * queries * tolerance::weight(head),
        OutputKind::ValueOneNorm => 2.0 * queries * tolerance::change(head) * head.value_dim() as f64,
        OutputKind::Removal | OutputKind::KeyZeroing | OutputKind::JointZeroing | OutputKind::Value => {
            tolerance::squared_change(head, 1.0)
        }
        _ => tolerance::squared_change(head, stretch),
    }
}

/// The tracker of `obcache-scores`, in 64-bit floats, keeps the same positions at every cut.
#[test]
fn c23_decode_traces_agree_with_the_tracker() {
    for trace in &SUITE.decode_traces {
        for query_head in 0..trace.problem.num_query_heads() {
            follow(trace, query_head);
        }
    }
    assert!(SUITE.decode_traces.len() >= 7);
}

fn follow(trace: &DecodeTrace, query_head: usize) {
    let policy = &trace.policy;
    let mut tracker = Tracker::new(Policy {
        score: Some(policy.score.name().parse().unwrap()),
        prefill_window: QueryWindow::Last(policy.prefill_window),
        recent: policy.recent,
        ..Policy::unscored(policy.heavy)
    });
    let positions: Vec<usize> = (0..policy.prefill).collect();
    let prompt = cached(&trace.problem, query_head, 0..policy.prefill, &positions);
    tracker.prefill(&[(prompt.clone(), attend(&prompt))]).unwrap();
    let mut allowed = tolerance::squared_change(&prompt, 1.0 + tolerance::largest_input(&prompt));
    for step in 0..trace.kept.len_of(Axis(0)) {
        let place = format!("{} head {query_head} step {step}", trace.id);
        let golden = match step {
            0 => trace.prefill_saliency.row(query_head),
            _ => trace.step_saliency.slice(s![step - 1, query_head, ..]),
        };
        for (found, golden) in tracker.saliencies()[0].iter().zip(golden) {
            assert!(
                (found - golden).abs() <= allowed,
                "{place}: {found:e}, golden {golden:e} ± {allowed:e}"
            );
        }
        let choice = tracker.choice().unwrap();
        tracker.keep(&choice).unwrap();
        assert_eq!(
            tracker.positions(),
            trace.kept.slice(s![step, query_head, ..]).to_vec(),
            "{place}"
        );
        let next = policy.prefill + step;
        if next < trace.problem.kv_len() {
            let positions = [tracker.positions(), &[next]].concat();
            let problem = cached(&trace.problem, query_head, next..next + 1, &positions);
            tracker.step(&[(problem.clone(), attend(&problem))]).unwrap();
            allowed += tolerance::squared_change(&problem, 1.0 + tolerance::largest_input(&problem));
        }
    }
}

/// The problem of some queries of a head over the tokens at `positions`.
fn cached(problem: &AttentionProblem, query_head: usize, queries: Range<usize>, positions: &[usize]) -> Head {
    let kv_head = query_head / problem.group_size();
    let rows = |tensor: &Array3<f64>| tensor.index_axis(Axis(0), kv_head).select(Axis(0), positions);
    let query = problem.query.slice(s![query_head, queries, ..]).to_owned();
    Head::new(query, rows(&problem.key), rows(&problem.value)).unwrap()
}

#[test]
fn c24_twins_have_the_same_bits() {
    let mut pairs = 0;
    for case in &SUITE.cases {
        let Some(twin) = &case.twin else { continue };
        let other = (SUITE.cases.iter())
            .find(|other| other.id == twin.case)
            .expect("the twin is in the suite");
        for output in &case.outputs {
            let theirs = &other
                .outputs
                .iter()
                .find(|theirs| theirs.spec == output.spec)
                .unwrap()
                .truth;
            let moved = match &twin.relation {
                TwinRelation::Permutation(order) if output.spec.kind.is_saliency() => theirs.select(Axis(1), order),
                _ => theirs.clone(),
            };
            let equal = twin.equal_outputs.contains(&output.spec);
            assert_eq!(output.truth == moved, equal, "{} {}", case.id, output.spec);
        }
        pairs += 1;
    }
    assert_eq!(pairs, 9);
}

#[test]
fn equal_tokens_have_equal_golden_saliencies() {
    let twins = SUITE
        .cases
        .iter()
        .filter(|case| case.id.starts_with("ties/twin-tokens"));
    for case in twins.inspect(|case| assert_eq!(case.problem.kv_len(), 12)) {
        for output in case.outputs.iter().filter(|output| output.spec.kind.is_saliency()) {
            let [first, second] = [0, 1].map(|start| output.truth.slice_axis(Axis(1), Slice::from(start..).step_by(2)));
            assert_eq!(first, second, "{} {}", case.id, output.spec);
        }
    }
}

#[test]
fn every_flag_and_every_family_has_a_case() {
    let mut flags: BTreeMap<&str, usize> = SUITE.flags.keys().map(|flag| (flag.as_str(), 0)).collect();
    let mut families: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &SUITE.cases {
        *families.entry(&case.family).or_default() += 1;
        for flag in &case.flags {
            *flags.get_mut(flag.as_str()).expect("a known flag") += 1;
        }
    }
    for trace in &SUITE.decode_traces {
        for flag in &trace.flags {
            *flags.get_mut(flag.as_str()).expect("a known flag") += 1;
        }
    }
    assert!(flags.values().all(|&cases| cases > 0), "{flags:?}");
    assert_eq!(families.len(), 21, "{families:?}");
}

/// A Python that has `module`: `OBCACHE_PYTHON` names the interpreter; `None`, with a message, where it lacks it.
fn python_with(module: &str) -> Option<String> {
    let python = std::env::var("OBCACHE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} with {module} is not installed");
    None
}

/// What a Python program prints; it must succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The reader of a page runs with NumPy alone.
#[test]
fn the_python_reader_reads_the_suite() {
    let Some(python) = python_with("numpy") else { return };
    let text = printed(Command::new(python).arg(vectors().join("read.py")));
    assert!(text.contains(&format!("{} cases", SUITE.cases.len())), "{text}");
}

/// Judged by another program: a validator in Rust would have the whole workspace compiled a second time for the tests.
#[test]
fn the_python_validator_finds_that_the_manifest_follows_its_schema() {
    const PROGRAM: &str = "
import json, sys, jsonschema
schema, manifest = (json.load(open(f'{sys.argv[1]}/{name}.json')) for name in ('schema', 'manifest'))
validator = jsonschema.validators.validator_for(schema)(schema)
print([error.message for error in validator.iter_errors(manifest)])
manifest['cases'][0]['problem']['tile'] = 64
print(validator.is_valid(manifest))
";
    let Some(python) = python_with("jsonschema") else {
        return;
    };
    let text = printed(Command::new(python).args(["-c", PROGRAM]).arg(vectors()));
    assert_eq!(text, "[]\nFalse\n");
}
