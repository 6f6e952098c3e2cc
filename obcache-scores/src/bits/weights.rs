//! What a unit of zero-mean noise on a stored number costs the output, to first order.
//!
//! ```text
//! value of token j          w_j  = sum_i a_ij²                                     exact: the output is linear in the values
//! key of token j, channel c w_jc = s² sum_i q_ic² (slope_ij a_ij)² ‖v_j - o_i‖²     first order
//! ```
//! Independent noise of variance σ² on one number adds σ² times its weight to the expected error (claim C22). The weight of a
//! whole key channel, RDKV's, is the sum over its tokens.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::accumulate;
use crate::exact::softmax_input::slope;
use crate::exact::without::Without;

/// Weight of a token's value, the same for each of its channels, shape (kv_len). Claim C22.
pub fn value(trace: &AttentionTrace, window: QueryWindow) -> Array1<f64> {
    accumulate(&trace.weights.mapv(|weight| weight * weight), window)
}

/// Weight of every number of the keys, shape (kv_len, head_dim). Claim C22.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn key(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Array2<f64> {
    let without = Without::new(head, trace);
    let reach = without.squared_norms(|i, j| {
        let factor = without.weight(i, j) * without.rest(i, j) * slope(head, trace, i, j) * head.scale();
        move |value, others| factor * (value - others)
    });
    let mut weights = Array2::zeros(head.key().dim());
    for i in window.queries(head.query_len()) {
        for (j, mut row) in weights.rows_mut().into_iter().enumerate() {
            row.scaled_add(reach[[i, j]], &head.query().row(i).mapv(|channel| channel * channel));
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Softcap;

    #[test]
    fn values_by_hand() {
        // Weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
        let trace = trace(&two_queries());
        let all = array![0.25 + 0.0625, 0.25 + 0.0625, 0.25];
        assert_relative_eq!(value(&trace, QueryWindow::All), all, max_relative = 1e-14);
        let last = array![0.0625, 0.0625, 0.25];
        assert_relative_eq!(value(&trace, QueryWindow::Last(1)), last, max_relative = 1e-14);
    }

    #[test]
    fn keys_by_hand() {
        // Weights 1/8, 2/8, 5/8, values minus output 6, 2, -2; the query is 3, the scale 1/3.
        let head = Head::new(array![[3.0]], logs().key().clone(), logs().value().clone()).unwrap();
        let head = head.with_scale(1.0 / 3.0).unwrap();
        let expected = array![[0.5625], [0.25], [1.5625]];
        assert_relative_eq!(
            key(&head, &trace(&head), QueryWindow::All),
            expected,
            max_relative = 1e-14
        );
        let double = head.with_scale(2.0 / 3.0).unwrap();
        let seen = trace(&double);
        let gap = (double.value()[[0, 0]] - seen.output[[0, 0]]) * seen.weights[[0, 0]] * 2.0;
        assert_relative_eq!(
            key(&double, &seen, QueryWindow::All)[[0, 0]],
            gap * gap,
            max_relative = 1e-14
        );
    }

    #[test]
    fn each_query_channel_weighs_its_key_channel() {
        let head = Head::new(
            array![[0.0, 0.0], [1.0, 3.0]],
            Array2::zeros((2, 2)),
            array![[0.0], [8.0]],
        )
        .unwrap();
        // The second query alone sees both: weights 1/2, gaps 4, scale² 1/2: 4 · 1/2 · 2 times q².
        let weights = key(&head, &trace(&head), QueryWindow::All);
        assert_relative_eq!(weights, array![[2.0, 18.0], [2.0, 18.0]], max_relative = 1e-14);
        assert_eq!(
            key(&head, &trace(&head), QueryWindow::Last(0)),
            Array2::<f64>::zeros((2, 2))
        );
    }

    #[test]
    fn a_softcap_slows_the_noise() {
        let head = logs().with_softcap(Softcap::new(1.0).unwrap());
        let seen = trace(&head);
        let gap = seen.weights[[0, 1]] * (4.0 - seen.output[[0, 0]]) * 0.64;
        assert_relative_eq!(
            key(&head, &seen, QueryWindow::All)[[1, 0]],
            gap * gap,
            max_relative = 1e-13
        );
    }
}
