//! The joint score deletes key and value together, to first order in both.
//!
//! ```text
//! S_KV = sum_i a_ij² ‖v_j + z_ij (v_j - o_i)‖²                       ‖J δ‖² for both deletions at once (C5)
//!      = S_V + S_K + 2 sum_i a_ij² z_ij (‖v_j‖² - o_i·v_j)           the three-term expansion (C6)
//! ```
//! First order for joint zeroing; it drops the mixed derivative of value and logit (C11).

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};

use super::{key, value};
use crate::exact::without::Without;

/// `a² ‖v + z (v - o)‖²` of every pair, shape (query_len, kv_len).
pub(super) fn plain(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    contributions(head, trace, &key::response(head, trace))
}

/// `a² ‖v + f (v - o)‖²` of every pair, shape (query_len, kv_len), with f the given falls of the softmax inputs.
/// Claims C5, C6 and C11.
pub(super) fn contributions(head: &Head, trace: &AttentionTrace, falls: &Array2<f64>) -> Array2<f64> {
    let without = Without::new(head, trace);
    without.squared_norms(|i, j| {
        let weight = without.weight(i, j);
        let factor = falls[[i, j]] * without.rest(i, j);
        move |value, others| weight * (value + factor * (value - others))
    })
}

/// `a² ‖v‖² + a² z² ‖v - o‖²` of every pair, shape (query_len, kv_len). Claim C6.
pub(super) fn without_cross_term(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    value::two_norm(head, trace) + key::plain(head, trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Weights 1/8, 2/8, 5/8, logits 0, ln 2, ln 5, values 8, 4, 0, values minus output 6, 2, -2.
        let head = logs();
        let trace = trace(&head);
        let (ln2, ln5) = (2f64.ln(), 5f64.ln());
        let joint = array![[1.0, (0.25 * (4.0 + 2.0 * ln2)).powi(2), (0.625 * 2.0 * ln5).powi(2)]];
        assert_relative_eq!(
            contributions(&head, &trace, &key::response(&head, &trace)),
            joint,
            max_relative = 1e-14
        );
        let apart = array![[1.0, 1.0 + (0.25 * 2.0 * ln2).powi(2), (0.625 * 2.0 * ln5).powi(2)]];
        assert_relative_eq!(without_cross_term(&head, &trace), apart, max_relative = 1e-14);
    }
}
