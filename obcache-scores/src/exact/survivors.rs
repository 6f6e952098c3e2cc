//! What a query would see if some tokens were gone: the weight that is left, and the output it renormalises to.
//!
//! ```text
//! weight = sum_kept a_ij + a_sink          output = sum_kept a_ij v_j / weight
//! ```
//! Summing what is left keeps the digits that `1 - a` loses as a nears 1 (theory, section 5).

use obd_core::{AttentionTrace, Head};

use crate::exact::softmax_input::softmax_input;

/// Below this total weight the kept weights are subnormal or nearly so, and have lost digits: they are recomputed
/// from the softmax inputs. Chosen so that a weight of relative size 2^-53 below it is still a normal number.
pub(crate) const UNDERFLOW: f64 = f64::MIN_POSITIVE / f64::EPSILON / f64::EPSILON;

/// What query i sees without the tokens that are gone.
pub(crate) struct Survivors {
    /// Weight left in the old softmax, sink included.
    pub weight: f64,
    /// Output of the renormalised attention, length value_dim; 0 where no token is left.
    pub output: Vec<f64>,
}

impl Survivors {
    /// Attention of query `i` over the visible tokens for which `keep` holds.
    pub fn new(head: &Head, trace: &AttentionTrace, i: usize, keep: impl Fn(usize) -> bool) -> Self {
        let kept: Vec<usize> = (0..head.kv_len())
            .filter(|&j| keep(j) && head.visibility().visible(i, j))
            .collect();
        let sink = trace.sink_weight(head, i);
        let weights: Vec<f64> = kept.iter().map(|&j| trace.weights[[i, j]]).collect();
        let weight = sink + weights.iter().sum::<f64>();
        let output = if weight < UNDERFLOW {
            let (sink, weights) = odds_from_inputs(head, trace, i, &kept);
            average(head, &kept, &weights, sink)
        } else {
            average(head, &kept, &weights, sink)
        };
        Self { weight, output }
    }
}

/// Log-sum-exp of the softmax inputs that query `i` has from the kept tokens and the sink; minus infinity for none.
pub(crate) fn log_sum_exp_of(head: &Head, trace: &AttentionTrace, i: usize, keep: impl Fn(usize) -> bool) -> f64 {
    let kept = (0..head.kv_len()).filter(|&j| keep(j) && head.visibility().visible(i, j));
    let inputs: Vec<f64> = kept
        .map(|j| softmax_input(head, trace, i, j))
        .chain(head.sink())
        .collect();
    let maximum = inputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if inputs.is_empty() {
        return maximum;
    }
    maximum + inputs.iter().map(|input| (input - maximum).exp()).sum::<f64>().ln()
}

/// Unnormalised weights of the sink and of the kept tokens, the largest of them 1.
pub(crate) fn odds_from_inputs(head: &Head, trace: &AttentionTrace, i: usize, kept: &[usize]) -> (f64, Vec<f64>) {
    let inputs: Vec<f64> = kept.iter().map(|&j| softmax_input(head, trace, i, j)).collect();
    // No sink is one of no weight.
    let sink = head.sink().unwrap_or(f64::NEG_INFINITY);
    let maximum = inputs.iter().copied().fold(sink, f64::max);
    let odds = inputs.into_iter().map(|input| (input - maximum).exp()).collect();
    ((sink - maximum).exp(), odds)
}

/// Mean of the kept values under `weights`, the sink counting as a value of 0.
fn average(head: &Head, kept: &[usize], weights: &[f64], sink: f64) -> Vec<f64> {
    let mut mean = vec![0.0; head.value_dim()];
    if kept.is_empty() {
        return mean;
    }
    let total = sink + weights.iter().sum::<f64>();
    for (&j, weight) in kept.iter().zip(weights) {
        for (sum, value) in mean.iter_mut().zip(head.value().row(j)) {
            *sum += weight / total * value;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Visibility;

    fn survivors(head: &Head, keep: impl Fn(usize) -> bool) -> (f64, f64) {
        let Survivors { weight, output } = Survivors::new(head, &trace(head), 0, keep);
        (weight, output[0])
    }

    #[test]
    fn the_rest_is_renormalised() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0; without the last: (8 + 2·4) / 3.
        let (weight, output) = survivors(&logs(), |j| j != 2);
        assert_relative_eq!(weight, 0.375, max_relative = 1e-15);
        assert_relative_eq!(output, 16.0 / 3.0, max_relative = 1e-15);
    }

    #[test]
    fn hidden_tokens_do_not_survive() {
        let head = logs().with_visibility(Visibility::all(1, 3).without(&[0])).unwrap();
        let (weight, output) = survivors(&head, |j| j != 2);
        assert_relative_eq!(weight, 2.0 / 7.0, max_relative = 1e-15);
        assert_relative_eq!(output, 4.0, max_relative = 1e-15);
    }

    #[test]
    fn the_sink_dilutes_what_is_left() {
        // Odds 1, 2, 5 and a sink of 8: without the last, (8 + 2·4) / 11 with weight 11/16.
        let (weight, output) = survivors(&logs().with_sink(8f64.ln()).unwrap(), |j| j != 2);
        assert_relative_eq!(weight, 11.0 / 16.0, max_relative = 1e-15);
        assert_relative_eq!(output, 16.0 / 11.0, max_relative = 1e-15);
    }

    #[test]
    fn nothing_left_is_zero() {
        assert_eq!(survivors(&logs(), |_| false), (0.0, 0.0));
        let (weight, output) = survivors(&logs().with_sink(0.0).unwrap(), |_| false);
        assert_relative_eq!(weight, 1.0 / 9.0, max_relative = 1e-15);
        assert_eq!(output, 0.0);
    }

    /// Logits 0, ln 3 and `top`, values 4, 8, 1; the trace by hand, since a plain softmax overflows.
    fn towering(top: f64, weights: [f64; 3]) -> (Head, AttentionTrace) {
        let head = Head::new(
            array![[1.0]],
            array![[0.0], [3f64.ln()], [top]],
            array![[4.0], [8.0], [1.0]],
        )
        .unwrap();
        let trace = AttentionTrace {
            logits: array![[0.0, 3f64.ln(), top]],
            weights: array![weights],
            output: array![[1.0]],
            log_sum_exp: array![top],
        };
        (head, trace)
    }

    #[test]
    fn weights_that_underflowed_are_recomputed_from_the_logits() {
        let (head, trace) = towering(2000.0, [0.0, 0.0, 1.0]);
        let survivors = Survivors::new(&head, &trace, 0, |j| j != 2);
        assert_eq!(survivors.weight, 0.0);
        assert_relative_eq!(survivors.output[0], 7.0, max_relative = 1e-15); // (4 + 3·8) / 4
    }

    #[test]
    fn a_sink_that_underflowed_is_recomputed_too() {
        let (head, trace) = towering(2000.0, [0.0, 0.0, 1.0]);
        let head = head.with_sink(4f64.ln()).unwrap();
        let survivors = Survivors::new(&head, &trace, 0, |j| j != 2);
        assert_relative_eq!(survivors.output[0], 3.5, max_relative = 1e-15); // (4 + 3·8) / 8
    }

    #[test]
    fn a_share_that_would_be_subnormal_is_not_trusted() {
        // Weights e^-650 = 5e-283 and e^-720 = 2e-313, which is subnormal: a value of 1e30 shows the digits it lost.
        let head = Head::new(
            array![[1.0]],
            array![[-650.0], [-720.0], [0.0]],
            array![[4.0], [1e30], [1.0]],
        )
        .unwrap();
        let trace = AttentionTrace {
            logits: array![[-650.0, -720.0, 0.0]],
            weights: array![[(-650f64).exp(), (-720f64).exp(), 1.0]],
            output: array![[1.0]],
            log_sum_exp: array![0.0],
        };
        let survivors = Survivors::new(&head, &trace, 0, |j| j != 2);
        // 4 + e^-70 · 1e30, shares 1 and e^-70 = 3.975e-31 of a total that rounds to 1.
        assert_relative_eq!(survivors.output[0], 4.0 + (-70f64).exp() * 1e30, max_relative = 1e-15);
    }

    #[test]
    fn subnormal_weights_are_not_trusted() {
        // exp(-740) is subnormal: 4.2e-322, of which few bits are left.
        let (head, trace) = towering(740.0, [(-740f64).exp(), 3.0 * (-740f64).exp(), 1.0]);
        let survivors = Survivors::new(&head, &trace, 0, |j| j != 2);
        assert_relative_eq!(survivors.output[0], 7.0, max_relative = 1e-15);
    }
}
