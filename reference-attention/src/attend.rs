//! Attention: each query averages the values it sees, weighted by the softmax of its logits.
//!
//! ```text
//! z_ij = scale q_i . k_j          a_ij = exp(u_ij - m_i) / l_i      o_i = sum_j a_ij v_j
//! u_ij = softcap(z_ij) + bias_ij  l_i  = sum_j exp(u_ij - m_i)      log_sum_exp_i = m_i + ln l_i
//! ```
//! with j over the tokens that query i sees, m_i the largest u_ij, and the sink logit, where there is one, joining m_i and l_i.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head};

use crate::Scalar;

/// Runs attention and records it; shapes in [`AttentionTrace`].
///
/// Logits are recorded for every pair, before soft-cap, bias and mask. Masked pairs have weight exactly 0. A query
/// that sees no token has weights 0 and output 0; its log-sum-exp is the sink logit, or minus infinity without a sink.
///
/// ```
/// use ndarray::array;
/// use obd_core::Head;
/// use reference_attention::attend;
///
/// // Two equal keys share the weight, so the output is the mean of the values.
/// let head = Head::new(array![[1.0]], array![[2.0], [2.0]], array![[1.0], [3.0]]).unwrap();
/// assert_eq!(attend(&head).output, array![[2.0]]);
/// ```
pub fn attend<S: Scalar>(head: &Head<S>) -> AttentionTrace<S> {
    let zero = S::from_f64(0.0);
    let logits = Array2::from_shape_fn((head.query_len(), head.kv_len()), |(i, j)| logit(head, i, j));
    let mut weights = Array2::from_elem(logits.dim(), zero.clone());
    let mut output = Array2::from_elem((head.query_len(), head.value_dim()), zero.clone());
    let mut log_sum_exp = Array1::from_elem(head.query_len(), zero);
    for i in 0..head.query_len() {
        let inputs = softmax_inputs(head, &logits, i);
        let (row_weights, row_log_sum_exp) = softmax(&inputs, head.sink());
        log_sum_exp[i] = row_log_sum_exp;
        for ((j, _), weight) in inputs.into_iter().zip(row_weights) {
            for c in 0..head.value_dim() {
                output[[i, c]] = output[[i, c]].clone() + weight.clone() * head.value()[[j, c]].clone();
            }
            weights[[i, j]] = weight;
        }
    }
    AttentionTrace {
        logits,
        weights,
        output,
        log_sum_exp,
    }
}

/// The scaled logit z of one pair.
fn logit<S: Scalar>(head: &Head<S>, i: usize, j: usize) -> S {
    let mut product = S::from_f64(0.0);
    for c in 0..head.head_dim() {
        product = product + head.query()[[i, c]].clone() * head.key()[[j, c]].clone();
    }
    S::from_f64(head.scale()) * product
}

/// The tokens that query `i` sees, each with its softmax input u.
fn softmax_inputs<S: Scalar>(head: &Head<S>, logits: &Array2<S>, i: usize) -> Vec<(usize, S)> {
    let mut inputs = Vec::new();
    for j in 0..head.kv_len() {
        if head.visibility().visible(i, j) {
            let z = logits[[i, j]].clone();
            let capped = match head.softcap() {
                Some(softcap) => {
                    let cap = S::from_f64(softcap.cap());
                    cap.clone() * (z / cap).tanh()
                }
                None => z,
            };
            inputs.push((j, capped + S::from_f64(head.bias(i, j))));
        }
    }
    inputs
}

/// Softmax weights of the inputs, and the log of the denominator.
///
/// A sole input without a sink has weight 1 and is its own log-sum-exp, which no arithmetic need round.
fn softmax<S: Scalar>(inputs: &[(usize, S)], sink: Option<f64>) -> (Vec<S>, S) {
    if let ([(_, input)], None) = (inputs, sink) {
        return (vec![S::from_f64(1.0)], input.clone());
    }
    let Some(maximum) = maximum(inputs, sink) else {
        return (Vec::new(), S::from_f64(f64::NEG_INFINITY));
    };
    let exponentials: Vec<S> = inputs
        .iter()
        .map(|(_, input)| (input.clone() - maximum.clone()).exp())
        .collect();
    let mut sum = match sink {
        Some(sink) => (S::from_f64(sink) - maximum.clone()).exp(),
        None => S::from_f64(0.0),
    };
    for exponential in &exponentials {
        sum = sum + exponential.clone();
    }
    let weights = exponentials
        .into_iter()
        .map(|exponential| exponential / sum.clone())
        .collect();
    (weights, maximum + sum.ln())
}

/// The largest of the inputs and the sink; `None` where there is neither. Compared by their difference: two numbers of
/// higher precision may round to the same 64 bits.
fn maximum<S: Scalar>(inputs: &[(usize, S)], sink: Option<f64>) -> Option<S> {
    let mut maximum = sink.map(S::from_f64);
    for (_, input) in inputs {
        match &maximum {
            Some(largest) if (input.clone() - largest.clone()).to_f64() <= 0.0 => {}
            _ => maximum = Some(input.clone()),
        }
    }
    maximum
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::{Softcap, Visibility};

    const TIGHT: f64 = 1e-15;

    /// Logits ln 1, ln 2 and ln 5 for a query of 1: weights 1/8, 2/8, 5/8.
    fn logs() -> Head {
        let key = array![[0.0], [2f64.ln()], [5f64.ln()]];
        Head::new(array![[1.0]], key, array![[8.0, 0.0], [4.0, 8.0], [0.0, 16.0]]).unwrap()
    }

    #[test]
    fn by_hand_with_logarithms_of_integers() {
        let trace = attend(&logs());
        assert_relative_eq!(trace.weights, array![[0.125, 0.25, 0.625]], max_relative = TIGHT);
        // 8/8 + 4*2/8 = 2; 8*2/8 + 16*5/8 = 12
        assert_relative_eq!(trace.output, array![[2.0, 12.0]], max_relative = TIGHT);
        assert_relative_eq!(trace.log_sum_exp, array![8f64.ln()], max_relative = TIGHT);
    }

    #[test]
    fn logits_are_scaled_once_by_the_root_of_head_dim() {
        let head = Head::new(
            array![[1.0, 2.0, 3.0, 4.0]],
            array![[5.0, 6.0, 7.0, 8.0]],
            array![[1.0]],
        )
        .unwrap();
        assert_eq!(attend(&head).logits, array![[35.0]]); // (5 + 12 + 21 + 32) / 2
    }

    #[test]
    fn a_sink_takes_weight_and_gives_nothing() {
        let trace = attend(&logs().with_sink(8f64.ln()).unwrap());
        assert_relative_eq!(trace.weights, array![[0.0625, 0.125, 0.3125]], max_relative = TIGHT);
        assert_relative_eq!(trace.output, array![[1.0, 6.0]], max_relative = TIGHT);
        assert_relative_eq!(trace.log_sum_exp, array![16f64.ln()], max_relative = TIGHT);
    }

    #[test]
    fn a_huge_sink_joins_the_maximum() {
        let trace = attend(&logs().with_sink(1e4).unwrap());
        assert_eq!(trace.weights, array![[0.0, 0.0, 0.0]]);
        assert_eq!(trace.log_sum_exp, array![1e4]);
    }

    #[test]
    fn a_softcap_bends_the_logits_before_the_softmax_and_is_not_recorded() {
        let head = Head::new(array![[1.0]], array![[3.0], [0.0]], array![[1.0], [0.0]]).unwrap();
        let trace = attend(&head.with_softcap(Softcap::new(2.0).unwrap()));
        assert_eq!(trace.logits, array![[3.0, 0.0]]);
        let odds = (2.0 * 1.5f64.tanh()).exp();
        assert_relative_eq!(trace.output, array![[odds / (1.0 + odds)]], max_relative = TIGHT);
    }

    #[test]
    fn alibi_joins_after_the_softcap() {
        let head = Head::new(array![[1.0]], array![[0.0], [0.0]], array![[1.0], [0.0]]).unwrap();
        let head = head
            .with_alibi(3f64.ln())
            .unwrap()
            .with_softcap(Softcap::new(0.1).unwrap());
        // The older token is one step away: odds 1/3 whatever the cap.
        assert_relative_eq!(attend(&head).weights, array![[0.25, 0.75]], max_relative = TIGHT);
    }

    #[test]
    fn the_last_query_sees_the_last_token_and_the_first_sees_less() {
        let head = Head::new(
            array![[1.0], [1.0]],
            array![[0.0], [0.0], [0.0]],
            array![[2.0], [4.0], [9.0]],
        )
        .unwrap();
        let trace = attend(&head);
        assert_eq!(trace.weights.row(0), array![0.5, 0.5, 0.0]);
        assert_relative_eq!(trace.output, array![[3.0], [5.0]], max_relative = TIGHT);
    }

    #[test]
    fn a_query_that_sees_nothing_has_output_zero() {
        let head = logs()
            .with_visibility(Visibility::all(1, 3).without(&[0, 1, 2]))
            .unwrap();
        let blind = attend(&head);
        assert_eq!(blind.weights, array![[0.0, 0.0, 0.0]]);
        assert_eq!(blind.output, array![[0.0, 0.0]]);
        assert_eq!(blind.log_sum_exp, array![f64::NEG_INFINITY]);
        assert_eq!(attend(&head.with_sink(0.5).unwrap()).log_sum_exp, array![0.5]);
    }

    #[test]
    fn huge_logits_neither_overflow_nor_vanish() {
        let head = Head::new(array![[1.0]], array![[-1e4], [1e4], [1e4]], array![[7.0], [2.0], [4.0]]).unwrap();
        let trace = attend(&head);
        assert_eq!(trace.weights, array![[0.0, 0.5, 0.5]]);
        assert_eq!(trace.output, array![[3.0]]);
        assert_relative_eq!(trace.log_sum_exp, array![1e4 + 2f64.ln()], max_relative = TIGHT);
    }

    #[test]
    fn high_precision_agrees_with_f64() {
        let head = logs().with_softcap(Softcap::new(2.0).unwrap()).with_sink(0.25).unwrap();
        let precise = attend(&head.lift(|&x| crate::HighPrecision::from_f64(x)));
        let plain = attend(&head);
        assert_relative_eq!(precise.output.map(Scalar::to_f64), plain.output, max_relative = 1e-14);
        assert_relative_eq!(
            precise.log_sum_exp.map(Scalar::to_f64),
            plain.log_sum_exp,
            max_relative = 1e-14
        );
    }

    #[test]
    fn the_derivative_by_a_value_is_the_weight() {
        let head = logs();
        let mut lifted = head.lift(|&x| num_dual::Dual64::from_re(x));
        let moved = array![num_dual::Dual64::new(4.0, 1.0), num_dual::Dual64::from_re(8.0)];
        lifted = lifted.replace_value(1, moved, Scalar::to_f64).unwrap();
        assert_relative_eq!(attend(&lifted).output[[0, 0]].eps, 0.25, max_relative = TIGHT);
    }
}
