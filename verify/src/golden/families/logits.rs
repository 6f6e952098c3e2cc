//! What happens to the logits: soft-cap, sink, weights near one, logits near overflow.

use golden::{AttentionProblem, Dtype, Mask};
use ndarray::s;

use crate::golden::draft::{Draft, Size};

/// Soft-caps that bend much and little.
pub(super) fn softcap(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str, cap: f64| {
        let size = Size::square(14, 16).queries(9).heads(2, 1);
        Draft::new("softcap", name, dtype, size)
            .comment(format!("Logits of about 4 under a soft-cap of {cap}."))
            .flags(&["softcap-order", "softcap-slope"])
            .change(|problem| {
                problem.query.mapv_inplace(|x| 3.0 * x);
                problem.softcap = Some(cap);
            })
    };
    vec![
        draft("two", 2.0),
        draft("thirty", 30.0),
        draft("window", 5.0).flags(&["window-edge"]).mask(Mask {
            sliding_window: Some(5),
            ..Mask::causal()
        }),
        draft("sink", 5.0)
            .flags(&["sink-in-sum"])
            .change(|problem| problem.sinks = Some(vec![1.0, -2.0])),
    ]
}

/// Sink logits below, among and above the logits.
pub(super) fn sink(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str, sinks: &[f64]| {
        let size = Size::square(15, 16).queries(8).heads(sinks.len(), 1);
        Draft::new("sink", name, dtype, size)
            .flags(&["sink-in-sum", "sink-scaled"])
            .change(|problem| problem.sinks = Some(sinks.to_vec()))
    };
    vec![
        draft("unequal", &[-2.0, 0.5, 3.0]).comment("Three heads of three sink logits."),
        draft("largest", &[12.0, 6.0])
            .comment("The sink logit is the largest of the row, so that it must join the maximum.")
            .flags(&["sink-in-maximum"]),
        draft("huge", &[200.0, 95.0])
            .comment("Sinks so large that exponentials overflow f32 unless the sink joins the maximum.")
            .flags(&["sink-in-maximum", "exp-overflow"]),
        draft("sole-token", &[0.25])
            .comment("A window of one token beside a sink: the token is not alone.")
            .flags(&["sole-token"])
            .mask(Mask {
                sliding_window: Some(1),
                ..Mask::causal()
            }),
    ]
}

/// One token that holds nearly all weight, so that 1 - a has no digits left in floats.
pub(super) fn near_one(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str, logit: f64| {
        Draft::new("near-one", name, dtype, Size::square(12, 16).queries(3))
            .comment(format!("Token 4 stands about {logit} above all others."))
            .flags(&["near-one", "renormalisation"])
            .change(|problem| dominate(problem, 4, logit))
    };
    vec![
        draft("12", 12.0),
        draft("20", 20.0),
        draft("40", 40.0),
        draft("80", 80.0),
    ]
}

/// Makes the key of `token` the direction that all queries share, by so much that its logit is about `logit`.
fn dominate(problem: &mut AttentionProblem, token: usize, logit: f64) {
    let channels = problem.head_dim() as f64;
    problem.query.mapv_inplace(|x| 1.0 + 0.125 * x);
    problem.key.mapv_inplace(|x| 0.25 * x);
    let aligned = logit / (problem.scale * channels);
    problem.key.slice_mut(s![.., token, ..]).fill(aligned);
}

/// Logits beyond the range of f16, of exp in f32, and of exp in f64.
pub(super) fn large_logits(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str| Draft::new("large-logits", name, dtype, Size::square(13, 16).queries(6));
    vec![
        draft("unscaled-f16")
            .comment("Dot products up to about 100 000, beyond f16, that a small scale brings back to about 6.")
            .flags(&["logit-overflow", "scale"])
            .change(|problem| {
                problem.query.mapv_inplace(|x| 96.0 * x);
                problem.key.mapv_inplace(|x| 96.0 * x);
                problem.scale = 0.0001;
            }),
        draft("exp-f32")
            .comment("Logits up to about 150: exp overflows in f32 unless the maximum is subtracted.")
            .flags(&["exp-overflow"])
            .change(|problem| problem.query.mapv_inplace(|x| 40.0 * x)),
        draft("exp-f64")
            .comment("Logits up to about 1 500: exp overflows in f64, and most weights underflow.")
            .flags(&["exp-overflow"])
            .change(|problem| problem.query.mapv_inplace(|x| 400.0 * x)),
        draft("all-negative")
            .comment("Logits around -300: exp underflows to a row of zeros unless the maximum is subtracted.")
            .flags(&["exp-overflow", "maximum-from-zero"])
            .change(|problem| {
                problem.query.mapv_inplace(|x| 8.0 + x);
                problem.key.mapv_inplace(|x| -9.5 + 0.25 * x);
            }),
    ]
}
