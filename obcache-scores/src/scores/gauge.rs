//! Gauge-fixed logits measure from a level that moves along when all keys are shifted (claim C15).
//!
//! ```text
//! log weight:  log a_ij = softmax input - log_sum_exp        above mean:  z_ij - sum_l a_il z_il / sum_l a_il
//! ```
//! Adding one vector to all keys adds one number to every logit of a row and leaves both as they were; S_K and S_KV
//! built on them are this project's own variants, measured beside the paper's. The mean divides by the visible weight,
//! which a sink leaves below 1.

use ndarray::{Array2, Axis};
use obd_core::{AttentionTrace, Head};

use super::{joint, key};
use crate::exact::softmax_input::{slope, softmax_input};

/// The key score with log a in the place of z, shape (query_len, kv_len).
pub(super) fn key_lse(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    key::contributions(head, trace, &log_weight(head, trace))
}

/// The key score with z - mean z in the place of z, shape (query_len, kv_len).
pub(super) fn key_mean(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    key::contributions(head, trace, &above_mean(head, trace))
}

/// The joint score with log a in the place of z, shape (query_len, kv_len).
pub(super) fn joint_lse(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    joint::contributions(head, trace, &log_weight(head, trace))
}

/// The joint score with z - mean z in the place of z, shape (query_len, kv_len).
pub(super) fn joint_mean(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    joint::contributions(head, trace, &above_mean(head, trace))
}

/// The log of every weight, finite also where the weight underflowed, shape (query_len, kv_len). Claim C15.
pub(super) fn log_weight(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    Array2::from_shape_fn(trace.logits.dim(), |(i, j)| {
        softmax_input(head, trace, i, j) - trace.log_sum_exp[i]
    })
}

/// Every logit above its row's weighted mean, times the soft-cap's slope, shape (query_len, kv_len). Claim C15.
pub(super) fn above_mean(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    let means = (&trace.weights * &trace.logits).sum_axis(Axis(1)) / trace.weights.sum_axis(Axis(1));
    Array2::from_shape_fn(trace.logits.dim(), |(i, j)| {
        slope(head, trace, i, j) * (trace.logits[[i, j]] - means[i])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use obd_core::Softcap;

    #[test]
    fn the_log_of_the_weight() {
        let head = logs().with_alibi(0.5).unwrap().with_sink(1.0).unwrap();
        let trace = trace(&head);
        for j in 0..3 {
            assert_relative_eq!(
                log_weight(&head, &trace)[[0, j]],
                trace.weights[[0, j]].ln(),
                max_relative = 1e-14
            );
        }
    }

    #[test]
    fn the_mean_is_weighted_and_ignores_the_sink() {
        // Weights 1/8, 2/8, 5/8 (halved by a sink of 8): mean logit (2 ln 2 + 5 ln 5) / 8.
        let mean = (2.0 * 2f64.ln() + 5.0 * 5f64.ln()) / 8.0;
        for head in [logs(), logs().with_sink(8f64.ln()).unwrap()] {
            let trace = trace(&head);
            assert_relative_eq!(above_mean(&head, &trace)[[0, 0]], -mean, max_relative = 1e-14);
            assert_relative_eq!(
                above_mean(&head, &trace)[[0, 1]],
                2f64.ln() - mean,
                max_relative = 1e-14
            );
        }
    }

    #[test]
    fn a_softcap_scales_the_difference() {
        let head = logs().with_softcap(Softcap::new(1.0).unwrap());
        let trace = trace(&head);
        let mean = (&trace.weights * &trace.logits).sum();
        assert_relative_eq!(
            above_mean(&head, &trace)[[0, 1]],
            0.64 * (2f64.ln() - mean),
            max_relative = 1e-14
        );
    }
}
