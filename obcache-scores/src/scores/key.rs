//! The isolated key score asks, to first order, what the output loses when the token's logit goes to 0.
//!
//! ```text
//! S_K = sum_i a_ij² z_ij² ‖v_j - o_i‖²        first order for key zeroing; ‖J δ‖² for dk_j = -k_j (C5)
//! ```
//! Under a soft-cap c the logit answers with its slope: z becomes `(1 - tanh²(z/c)) z` (C3). Not invariant under a
//! shift of all keys (C14).

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};

use crate::exact::softmax_input::slope;
use crate::exact::without::Without;

/// `a² z² ‖v - o‖²` of every pair, shape (query_len, kv_len).
pub(super) fn plain(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    contributions(head, trace, &response(head, trace))
}

/// The first-order fall of every softmax input when the token's key goes to 0: z times the soft-cap's slope, shape
/// (query_len, kv_len).
pub(super) fn response(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    Array2::from_shape_fn(trace.logits.dim(), |(i, j)| {
        slope(head, trace, i, j) * trace.logits[[i, j]]
    })
}

/// `a² f² ‖v - o‖²` of every pair, shape (query_len, kv_len), with f the given falls of the softmax inputs.
/// Claims C5 and C14.
pub(super) fn contributions(head: &Head, trace: &AttentionTrace, falls: &Array2<f64>) -> Array2<f64> {
    let without = Without::new(head, trace);
    without.squared_norms(|i, j| {
        let factor = without.weight(i, j) * falls[[i, j]] * without.rest(i, j);
        move |value, others| factor * (value - others)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Softcap;

    #[test]
    fn by_hand() {
        // Weights 1/8, 2/8, 5/8, logits 0, ln 2, ln 5, values minus output 6, 2, -2.
        let head = logs();
        let (ln2, ln5) = (2f64.ln(), 5f64.ln());
        let expected = array![[0.0, (0.25 * ln2 * 2.0).powi(2), (0.625 * ln5 * 2.0).powi(2)]];
        assert_relative_eq!(
            contributions(&head, &trace(&head), &response(&head, &trace(&head))),
            expected,
            max_relative = 1e-14
        );
        // A token of two channels that equals the output moves nothing, whatever its logit.
        let head = two_queries();
        assert_relative_eq!(
            contributions(&head, &trace(&head), &response(&head, &trace(&head)))[[1, 2]],
            0.0,
            epsilon = 1e-30
        );
    }

    #[test]
    fn a_softcap_slows_the_response() {
        let head = logs().with_softcap(Softcap::new(1.0).unwrap());
        // slope of tanh at ln 2 is 16/25
        assert_relative_eq!(
            response(&head, &trace(&head))[[0, 1]],
            0.64 * 2f64.ln(),
            max_relative = 1e-14
        );
    }
}
