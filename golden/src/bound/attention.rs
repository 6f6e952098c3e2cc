//! The tolerance of what attention itself gives: output and log-sum-exp.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head};

use super::arithmetic::Arithmetic;
use super::average::Average;
use super::head::JudgedHead;
use super::softmax_row::SoftmaxRow;

/// Tolerance of every element of the output, shape (query_len, value_dim). Claim C20.
///
/// `trace` is the trace of `head` in f64.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn output(head: &Head, trace: &AttentionTrace, arithmetic: &Arithmetic) -> Array2<f64> {
    let judged = JudgedHead::new(head, trace, arithmetic);
    let mut tolerance = Array2::zeros(trace.output.dim());
    for (i, mut row) in tolerance.rows_mut().into_iter().enumerate() {
        let Some(softmax) = SoftmaxRow::new(&judged, i) else {
            continue;
        };
        let average = Average::of_values(&softmax);
        for (c, element) in row.iter_mut().enumerate() {
            *element = average.tolerance(c) + arithmetic.storing(trace.output[[i, c]]);
        }
    }
    tolerance
}

/// Tolerance of every log-sum-exp, shape (query_len); 0 where it is minus infinity. Claim C20.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn log_sum_exp(head: &Head, trace: &AttentionTrace, arithmetic: &Arithmetic) -> Array1<f64> {
    let judged = JudgedHead::new(head, trace, arithmetic);
    Array1::from_shape_fn(head.query_len(), |i| {
        let Some(row) = SoftmaxRow::new(&judged, i) else {
            return 0.0;
        };
        let first = arithmetic.unit() * Average::of_values(&row).log_sum_exp().sqrt();
        first + arithmetic.storing(trace.log_sum_exp[i])
    })
}
