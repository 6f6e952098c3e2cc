//! Logits: which key a query meets, the scaled product, and the soft-cap.

use ndarray::{Array2, Axis};

use super::deviation::Deviation;
use super::kernel::{Rendering, VECTOR};
use crate::{AttentionProblem, Precision};

/// The KV head that a query head reads.
pub(super) fn kv_head(rendering: Rendering, problem: &AttentionProblem, head: usize) -> usize {
    match rendering.deviation {
        Some(Deviation::HeadsModulo) => head % problem.num_kv_heads(),
        Some(Deviation::HeadsFirst) => 0,
        _ => head / problem.group_size(),
    }
}

/// The token whose value goes with the key of `token`.
pub(super) fn value_token(rendering: Rendering, problem: &AttentionProblem, token: usize) -> usize {
    if rendering.does(Deviation::KeyValueMisaligned) {
        (token + 1).min(problem.kv_len() - 1)
    } else {
        token
    }
}

/// The logits of a query head as they are kept until the maximum is subtracted, shape (query_len, kv_len).
pub(super) fn logits(rendering: Rendering, problem: &AttentionProblem, head: usize) -> Array2<f64> {
    let (query, key) = (
        problem.query.index_axis(Axis(0), head),
        problem.key.index_axis(Axis(0), kv_head(rendering, problem, head)),
    );
    let channels = match rendering.deviation {
        Some(Deviation::HeadDimTailDropped) if problem.head_dim() > VECTOR => problem.head_dim() / VECTOR * VECTOR,
        Some(Deviation::HeadDimReadBeyond) => problem.head_dim().next_multiple_of(VECTOR),
        _ => problem.head_dim(),
    };
    let enter = |x: f64| {
        if rendering.does(Deviation::InputsTf32) {
            Precision::Tf32.round(x)
        } else {
            x
        }
    };
    let flat = |tensor: &ndarray::ArrayView2<f64>| tensor.iter().map(|&x| enter(x)).collect::<Vec<f64>>();
    let (query, key) = (flat(&query), flat(&key));
    let scale = scale(rendering, problem);
    let softcap = problem
        .softcap
        .filter(|_| rendering.does(Deviation::SoftcapBeforeScale));
    Array2::from_shape_fn((problem.query_len(), problem.kv_len()), |(i, j)| {
        let (q, k) = (i * problem.head_dim(), j * problem.head_dim());
        let mut product = 0.0;
        for c in 0..channels {
            // Past the end of the whole tensor there is nothing to read: 0.
            let read = |tensor: &[f64], row: usize| tensor.get(row + c).copied().unwrap_or(0.0);
            product = rendering.round(product + rendering.round(read(&query, q) * read(&key, k)));
        }
        if let Some(cap) = softcap {
            product = rendering.round(cap * rendering.round(libm::tanh(rendering.round(product / cap))));
        }
        hold(rendering, rendering.round(scale * product))
    })
}

fn scale(rendering: Rendering, problem: &AttentionProblem) -> f64 {
    let d = problem.head_dim() as f64;
    rendering.round(match rendering.deviation {
        Some(Deviation::ScaleMissing) => 1.0,
        Some(Deviation::ScaleTwice) => problem.scale * problem.scale,
        Some(Deviation::ScalePadded) => problem.scale * (d / problem.head_dim().next_power_of_two() as f64).sqrt(),
        _ => problem.scale,
    })
}

/// The logit as it is kept until the maximum is subtracted.
fn hold(rendering: Rendering, logit: f64) -> f64 {
    match rendering.deviation {
        Some(Deviation::LogitsF16) => Precision::F16.round(logit),
        Some(Deviation::LogitsBf16) => Precision::Bf16.round(logit),
        _ => rendering.store(logit),
    }
}

/// The soft-capped logit.
pub(super) fn capped(rendering: Rendering, problem: &AttentionProblem, z: f64) -> f64 {
    let round = |x| rendering.round(x);
    match (problem.softcap, rendering.deviation) {
        (None, _) | (_, Some(Deviation::SoftcapMissing | Deviation::SoftcapBeforeScale)) => z,
        (Some(cap), Some(Deviation::SoftcapUndivided)) => round(cap * round(libm::tanh(z))),
        (Some(cap), _) => round(cap * round(libm::tanh(round(z / cap)))),
    }
}
