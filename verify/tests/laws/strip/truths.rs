//! What is true of a head, and how far from it the engine may be.

use golden::bound::{self, Arithmetic};
use golden::{OutputKind, Precision};
use ndarray::{Array1, Array2, Axis, s};
use obcache_scores::{Score, accumulate, exact};
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow};
use reference_attention::attend;
use strip_engine::{Element, Saliencies};

use super::group::{Group, Runs};

const SCORES: [(Score, OutputKind); 11] = [
    (Score::Value, OutputKind::Value),
    (Score::ValueOneNorm, OutputKind::ValueOneNorm),
    (Score::Key, OutputKind::Key),
    (Score::Joint, OutputKind::Joint),
    (Score::JointNoCross, OutputKind::JointNoCross),
    (Score::Removal, OutputKind::Removal),
    (Score::KeyLse, OutputKind::KeyLse),
    (Score::KeyMean, OutputKind::KeyMean),
    (Score::JointLse, OutputKind::JointLse),
    (Score::JointMean, OutputKind::JointMean),
    (Score::Weight, OutputKind::Weight),
];

const EXACT: [(Perturbation, OutputKind); 3] = [
    (Perturbation::KeyZeroing, OutputKind::KeyZeroing),
    (Perturbation::ValueZeroing, OutputKind::Value),
    (Perturbation::JointZeroing, OutputKind::JointZeroing),
];

/// What the engine's expansions of squares may cost beside a kernel that takes differences, shape (kv_len); derived in
/// `docs/strip.md`. Pairs of a weight above 1/2 are not expanded.
fn expansion(kind: OutputKind, window: QueryWindow, head: &Head, trace: &AttentionTrace, unit: f64) -> Array1<f64> {
    let first = unit * ((head.value_dim() as f64).sqrt() + 4.0);
    let mut sums = Array1::zeros(head.kv_len());
    for i in window.queries(head.query_len()) {
        let (output, lse) = (trace.output.row(i), trace.log_sum_exp[i]);
        let (weights, logits) = (trace.weights.row(i), trace.logits.row(i));
        let mean = weights.dot(&logits) / weights.sum();
        for j in (0..head.kv_len()).filter(|&j| head.visibility().visible(i, j)) {
            let (a, z, value) = (weights[j], logits[j], head.value().row(j));
            let gap = (&value - &output).mapv(|x| x * x).sum().sqrt();
            let size = value.dot(&value).sqrt() + gap;
            let f = 1.0
                + match kind {
                    OutputKind::Key | OutputKind::Joint | OutputKind::JointNoCross => z.abs(),
                    OutputKind::KeyLse | OutputKind::JointLse => (z - lse).abs(),
                    OutputKind::KeyMean | OutputKind::JointMean => (z - mean).abs(),
                    _ => 0.0,
                };
            let zeroed = (-lse).exp();
            let moved = (a + zeroed) / (1.0 - a + zeroed);
            let expanded = match kind {
                OutputKind::Joint | OutputKind::JointLse | OutputKind::JointMean => 8.0 * (a * f * size).powi(2),
                OutputKind::Key | OutputKind::KeyLse | OutputKind::KeyMean | OutputKind::Removal => {
                    4.0 * (a * f * gap).powi(2)
                }
                OutputKind::JointNoCross => 4.0 * (a * f * gap).powi(2),
                OutputKind::KeyZeroing => 8.0 * (moved * gap).powi(2),
                OutputKind::JointZeroing => 8.0 * (moved * size).powi(2),
                _ => 0.0,
            };
            let rounded = (unit * f * size).powi(2);
            sums[j] += rounded + if a > 0.5 { 0.0 } else { first * expanded };
        }
    }
    sums
}

/// What the engine yields of a head.
#[derive(Debug, Clone, Copy)]
enum Found {
    Score(Score),
    Exact(Perturbation),
    Output,
    LogSumExp,
}

impl Found {
    fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Exact(what) => what.name(),
            Self::Output => "output",
            Self::LogSumExp => "log-sum-exp",
        }
    }

    fn of(self, saliencies: &Saliencies<impl Element>) -> Array1<f64> {
        match self {
            Self::Score(score) => saliencies.score(score).unwrap().clone(),
            Self::Exact(what) => saliencies.exact(what).unwrap().clone(),
            Self::Output => saliencies.output.iter().map(|o| o.to_f64()).collect(),
            Self::LogSumExp => saliencies.log_sum_exp.clone(),
        }
    }
}

/// What is true of a head, and how far from it a kernel may be, `times` over.
fn truths(group: &Group, head: &Head, precision: Precision, times: f64) -> Vec<(Found, Array1<f64>, Array1<f64>)> {
    let (window, arithmetic, trace) = (group.window, Arithmetic::uniform(precision), attend(head));
    let queries = window.queries(head.query_len());
    let unit = bound::CONFIDENCE * precision.unit_roundoff();
    let tolerance = |kind| {
        let bound = bound::saliency(kind, window, head, &trace, &arithmetic);
        times * bound + expansion(kind, window, head, &trace, unit)
    };
    let scores = SCORES.iter().map(|&(score, kind)| {
        let expected = accumulate(&score.contributions(head, &trace), window);
        (Found::Score(score), expected, tolerance(kind))
    });
    let exact = EXACT.iter().map(|&(what, kind)| {
        let expected = accumulate(&exact::contributions(what, head, &trace), window);
        (Found::Exact(what), expected, tolerance(kind))
    });
    let flat = |output: &Array2<f64>| output.slice(s![queries.clone(), ..]).flatten().to_owned();
    let output_tolerance = times * flat(&bound::output(head, &trace, &arithmetic));
    let output = (Found::Output, flat(&trace.output), output_tolerance);
    let of_queries = |lse: &Array1<f64>| lse.slice(s![queries.clone()]).to_owned();
    let lse_tolerance = times * of_queries(&bound::log_sum_exp(head, &trace, &arithmetic));
    let lse = (Found::LogSumExp, of_queries(&trace.log_sum_exp), lse_tolerance);
    scores.chain(exact).chain([output, lse]).collect()
}

/// The first number that is further off than `times` its tolerance, with what it belongs to.
pub fn fault(group: &Group, precision: Precision, runs: &Runs<impl Element>, times: f64) -> Option<String> {
    (0..group.query.len_of(Axis(0))).find_map(|number| {
        let truths = truths(group, &group.head(number), precision, times);
        let numbers = runs.iter().flat_map(|run| truths.iter().map(move |truth| (run, truth)));
        numbers.into_iter().find_map(|((instructions, heads), (what, expected, tolerance))| {
            let found = what.of(&heads[number]);
            let meets = |j: usize| found[j] == expected[j] || (found[j] - expected[j]).abs() <= tolerance[j];
            let j = (0..expected.len()).find(|&j| !meets(j))?;
            let (found, expected, tolerance) = (found[j], expected[j], tolerance[j]);
            let times = (found - expected).abs() / tolerance;
            Some(format!(
                "{}[{j}] of head {number} by {instructions} instructions: {found:e}, true {expected:e}, off by {times} tolerances",
                what.name()
            ))
        })
    })
}
