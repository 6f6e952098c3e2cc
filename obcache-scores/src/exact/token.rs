//! What really happens to the output when one token is perturbed, in closed form (theory, section 4).
//!
//! ```text
//! removal        -a (v - o')                    o' = the output without the token
//! key zeroing     g (v - o')                    g = a rest (e^-z - 1) / (rest + a e^-z),  rest = 1 - a
//! value zeroing  -a v
//! joint zeroing  -(a v + g o')
//! ```
//! All four are *exact* and hold for every mask, soft-cap (z then is the capped logit), sink and bias (claim C8). They
//! are the fast oracle: O(query_len · kv_len · value_dim) for all tokens, where brute force needs kv_len times that.

use ndarray::{Array2, ArrayView1};
use obd_core::{AttentionTrace, Head, Perturbation};

use crate::exact::softmax_input::capped_logit;
use crate::exact::survivors::UNDERFLOW;
use crate::exact::without::Without;

/// Squared norm of the exact change of every query's output for every token, shape (query_len, kv_len).
///
/// 0 where the query does not see the token.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn contributions(what: Perturbation, head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    let without = Without::new(head, trace);
    without.squared_norms(|i, j| channel(what, head, trace, &without, (i, j)))
}

/// Exact change of the output under a perturbation of `token`, perturbed minus original, shape (query_len, value_dim).
/// Claim C8.
///
/// A token past the end changes nothing.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn perturbation(what: Perturbation, head: &Head, trace: &AttentionTrace, token: usize) -> Array2<f64> {
    let mut change = Array2::zeros(trace.output.dim());
    if token >= head.kv_len() {
        return change;
    }
    let without = Without::new(head, trace);
    for (i, mut row) in change.rows_mut().into_iter().enumerate() {
        if head.visibility().visible(i, token) {
            let channel = channel(what, head, trace, &without, (i, token));
            row.assign(&ArrayView1::from(
                &without.change(i, token, channel).collect::<Vec<_>>(),
            ));
        }
    }
    change
}

/// The change of one channel of pair (i, j) from its value and the output without the token. Claims C8, C11 and C12.
fn channel(
    what: Perturbation,
    head: &Head,
    trace: &AttentionTrace,
    without: &Without,
    (i, j): (usize, usize),
) -> impl Fn(f64, f64) -> f64 + use<> {
    let weight = without.weight(i, j);
    let z = capped_logit(head, trace, i, j);
    let at_zero = (trace.log_sum_exp[i] - head.bias(i, j)).exp();
    let gain = gain(weight, without.rest(i, j), z, at_zero, || {
        without.log_odds_at_zero(i, j)
    });
    move |value, others| match what {
        Perturbation::Removal => -weight * (value - others),
        Perturbation::KeyZeroing => gain * (value - others),
        Perturbation::ValueZeroing => -weight * value,
        Perturbation::JointZeroing => -(weight * value + gain * others),
    }
}

/// g: the weight that the token wins when its logit goes to 0, `a rest (e^-z - 1) / (rest + a e^-z)`.
///
/// Written by the sign of z so that no exponential overflows, and for z < 0 with `unit` = e^z / a, the inverse of the
/// token's weight at logit 0, which is finite also where a itself underflowed. Where rest and e^-z both underflow, so that
/// a = 1, the token falls from 1 to 1 / (1 + odds) with `log_odds` those of all others against it at logit 0.
pub fn gain(weight: f64, rest: f64, z: f64, unit: f64, log_odds: impl FnOnce() -> f64) -> f64 {
    if z < 0.0 {
        return -rest * z.exp_m1() / (rest * unit + 1.0);
    }
    let total = rest + weight * (-z).exp();
    if total < UNDERFLOW {
        return -1.0 / (1.0 + (-log_odds()).exp());
    }
    weight * rest * (-z).exp_m1() / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Softcap;

    fn change(what: Perturbation, head: &Head, token: usize) -> f64 {
        perturbation(what, head, &trace(head), token)[[0, 0]]
    }

    #[test]
    fn a_zeroed_key_whose_logit_outgrew_the_exponential_falls_back_to_its_share() {
        // Logits 800, 0, ln 2: the first holds all weight in floats; at logit 0 the odds against it are 3.
        let gain_of = |key: ndarray::Array2<f64>, sink: Option<f64>| {
            let value = ndarray::Array2::from_shape_fn((key.nrows(), 1), |(j, _)| if j == 0 { 1.0 } else { 0.0 });
            let head = Head::new(array![[1.0]], key, value).unwrap();
            let head = sink.map_or(head.clone(), |sink| head.with_sink(sink).unwrap());
            let dominated = AttentionTrace {
                logits: head.key().t().to_owned(),
                weights: ndarray::Array2::from_shape_fn((1, head.kv_len()), |(_, j)| if j == 0 { 1.0 } else { 0.0 }),
                output: array![[1.0]],
                log_sum_exp: array![head.key()[[0, 0]]],
            };
            perturbation(Perturbation::KeyZeroing, &head, &dominated, 0)[[0, 0]]
        };
        assert_relative_eq!(
            gain_of(array![[800.0], [0.0], [2f64.ln()]], None),
            -0.75,
            max_relative = 1e-15
        );
        assert_relative_eq!(
            gain_of(array![[1e70], [0.0], [2f64.ln()]], None),
            -0.75,
            max_relative = 1e-15
        );
        assert_relative_eq!(
            gain_of(array![[800.0], [0.0]], Some(2f64.ln())),
            -0.75,
            max_relative = 1e-15
        );
        assert_eq!(gain_of(array![[800.0]], None), 0.0);
    }

    #[test]
    fn the_bias_stays_also_where_the_logit_outgrew_the_exponential() {
        // With biases -2 ln 2, -ln 2 and 0 the odds at logit 0 are 1/2 + 2 against 1/4.
        let (key, value) = (array![[800.0], [0.0], [2f64.ln()]], array![[1.0], [0.0], [0.0]]);
        let head = Head::new(array![[1.0]], key, value).unwrap();
        let head = head.with_alibi(2f64.ln()).unwrap();
        let dominated = AttentionTrace {
            logits: head.key().t().to_owned(),
            weights: array![[1.0, 0.0, 0.0]],
            output: array![[1.0]],
            log_sum_exp: array![800.0 - 2.0 * 2f64.ln()],
        };
        assert_relative_eq!(
            perturbation(Perturbation::KeyZeroing, &head, &dominated, 0)[[0, 0]],
            -10.0 / 11.0,
            max_relative = 1e-14
        );
    }

    #[test]
    fn by_hand_on_an_ordinary_token() {
        // Odds 1, 2, 5 on values 8, 4, 0: output 2; the middle token is perturbed.
        let head = logs();
        assert_relative_eq!(
            change(Perturbation::Removal, &head, 1),
            8.0 / 6.0 - 2.0,
            max_relative = 1e-14
        );
        assert_relative_eq!(
            change(Perturbation::KeyZeroing, &head, 1),
            12.0 / 7.0 - 2.0,
            max_relative = 1e-14
        );
        assert_relative_eq!(change(Perturbation::ValueZeroing, &head, 1), -1.0, max_relative = 1e-14);
        assert_relative_eq!(
            change(Perturbation::JointZeroing, &head, 1),
            8.0 / 7.0 - 2.0,
            max_relative = 1e-14
        );
    }

    #[test]
    fn by_hand_on_the_dominant_token() {
        // The last token has weight 5/8 and value 0; at logit 0 its odds are 1.
        let head = logs();
        assert_relative_eq!(
            change(Perturbation::Removal, &head, 2),
            16.0 / 3.0 - 2.0,
            max_relative = 1e-14
        );
        assert_relative_eq!(
            change(Perturbation::KeyZeroing, &head, 2),
            16.0 / 4.0 - 2.0,
            max_relative = 1e-14
        );
        assert_eq!(change(Perturbation::ValueZeroing, &head, 2), 0.0);
        assert_relative_eq!(
            change(Perturbation::JointZeroing, &head, 2),
            16.0 / 4.0 - 2.0,
            max_relative = 1e-14
        );
    }

    #[test]
    fn a_negative_logit_rises_to_zero() {
        // Odds 1/4 and 1 on values 5, 0: output 1. At logit 0 the odds are even: 5/2.
        let head = Head::new(array![[1.0]], array![[0.25f64.ln()], [0.0]], array![[5.0], [0.0]]).unwrap();
        assert_relative_eq!(change(Perturbation::KeyZeroing, &head, 0), 1.5, max_relative = 1e-14);
        assert_relative_eq!(change(Perturbation::JointZeroing, &head, 0), -1.0, max_relative = 1e-14);
    }

    #[test]
    fn extreme_logits_do_not_overflow() {
        assert_eq!(gain(0.5, 0.5, -800.0, 0.0, || f64::NAN), 0.5); // the token takes the rest
        assert_eq!(gain(0.5, 0.5, 800.0, f64::INFINITY, || f64::NAN), -0.5); // and loses all
        assert_eq!(gain(0.25, 0.75, 0.0, 4.0, || f64::NAN), 0.0);
        assert_eq!(gain(0.0, 1.0, -900.0, f64::INFINITY, || f64::NAN), 0.0);
        // The smallest total that keeps all its digits is divided by.
        assert_eq!(gain(1.0, UNDERFLOW, 800.0, 0.0, || f64::NAN), -1.0);
    }

    #[test]
    fn a_token_whose_weight_underflowed_comes_back_when_its_key_is_zeroed() {
        // Logits 0 and -800, values 1 and 3: at logit 0 the odds are even.
        let head = Head::new(array![[1.0]], array![[0.0], [-800.0]], array![[1.0], [3.0]]).unwrap();
        assert_eq!(change(Perturbation::KeyZeroing, &head, 1), 1.0);
        assert_eq!(change(Perturbation::JointZeroing, &head, 1), -0.5);
        assert_eq!(change(Perturbation::Removal, &head, 1), 0.0);
    }

    #[test]
    fn the_bias_stays_when_the_key_goes() {
        // Logit -ln 4 and a bias of -ln 2 on the older token of value 9.
        let head = Head::new(array![[1.0]], array![[-4f64.ln()], [0.0]], array![[9.0], [0.0]]).unwrap();
        let head = head.with_alibi(2f64.ln()).unwrap();
        // Odds 1/8 : 1, output 1; then 1/2 : 1, output 3.
        assert_relative_eq!(change(Perturbation::KeyZeroing, &head, 0), 2.0, max_relative = 1e-14);
    }

    #[test]
    fn under_a_softcap_the_capped_logit_counts() {
        let cap = Softcap::new(1.0).unwrap();
        let head = logs().with_softcap(cap);
        let odds = [0.0, 0.6, cap.value(5f64.ln())].map(f64::exp);
        let before = (8.0 * odds[0] + 4.0 * odds[1]) / (odds[0] + odds[1] + odds[2]);
        let after = 12.0 / (2.0 + odds[2]);
        assert_relative_eq!(
            change(Perturbation::KeyZeroing, &head, 1),
            after - before,
            max_relative = 1e-13
        );
    }

    #[test]
    fn contributions_are_the_squared_rows_of_the_perturbations() {
        let head = two_queries();
        let trace = trace(&head);
        for what in Perturbation::ALL {
            let contributions = contributions(what, &head, &trace);
            for j in 0..3 {
                let squares = perturbation(what, &head, &trace, j)
                    .map(|x| x * x)
                    .sum_axis(ndarray::Axis(1));
                assert_relative_eq!(contributions.column(j), squares, max_relative = 1e-15);
            }
        }
    }

    #[test]
    fn what_a_query_does_not_see_cannot_move_it() {
        let head = two_queries();
        let trace = trace(&head);
        assert_eq!(
            perturbation(Perturbation::Removal, &head, &trace, 2).row(0),
            array![0.0, 0.0]
        );
        assert_eq!(
            perturbation(Perturbation::Removal, &head, &trace, 3),
            Array2::<f64>::zeros((2, 2))
        );
    }
}
