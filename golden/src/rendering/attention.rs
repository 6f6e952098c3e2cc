//! Attention, each operation rounded: logits, softmax, output and log-sum-exp of every query head.

use ndarray::{Array1, Array2};
use obd_core::AttentionTrace;

use super::deviation::Deviation;
use super::kernel::Rendering;
use super::logits::logits;
use super::softmax::softmax;
use super::terms::exponents;
use crate::AttentionProblem;

/// The attention of every query head.
pub(super) fn heads(rendering: Rendering, problem: &AttentionProblem) -> Vec<AttentionTrace> {
    (0..problem.num_query_heads())
        .map(|head| attend(rendering, problem, head))
        .collect()
}

fn attend(rendering: Rendering, problem: &AttentionProblem, head: usize) -> AttentionTrace {
    let logits = logits(rendering, problem, head);
    let mut trace = AttentionTrace {
        weights: Array2::zeros(logits.dim()),
        output: Array2::zeros((problem.query_len(), problem.value_dim())),
        log_sum_exp: Array1::from_elem(problem.query_len(), f64::NEG_INFINITY),
        logits,
    };
    for i in 0..problem.query_len() {
        let exponents = exponents(rendering, problem, head, i, trace.logits.row(i));
        if exponents.is_empty() {
            if rendering.does(Deviation::MaskNan) {
                trace.output.row_mut(i).fill(f64::NAN);
                trace.log_sum_exp[i] = f64::NAN;
            }
            continue;
        }
        let softmax = softmax(rendering, problem, head, &exponents);
        trace.log_sum_exp[i] = softmax.log_sum_exp;
        trace.output.row_mut(i).assign(&softmax.output);
        for (exponent, weight) in exponents.iter().zip(softmax.weights) {
            if let Some(token) = exponent.token.filter(|&token| token < problem.kv_len()) {
                trace.weights[[i, token]] = weight;
            }
        }
    }
    trace
}
