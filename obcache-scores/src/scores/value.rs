//! The isolated value score asks what the output loses with the token's value.
//!
//! ```text
//! S_V    = sum_i a_ij² ‖v_j‖²        exact for value zeroing (C9), equal to ‖J δ‖² for dv_j = -v_j (C5)
//! S_V,p1 = sum_i a_ij ‖v_j‖₁         the 1-norm variant (C7); also known as VATP
//! ```

use ndarray::{Array1, Array2, Axis};
use obd_core::{AttentionTrace, Head};

/// `a² ‖v‖²` of every pair, shape (query_len, kv_len). Claims C5 and C9.
pub(super) fn two_norm(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    let squares = head
        .value()
        .map_axis(Axis(1), |value| value.iter().map(|v| v * v).sum::<f64>());
    trace.weights.mapv(|weight| weight * weight) * squares
}

/// `a ‖v‖₁` of every pair, shape (query_len, kv_len). Claim C7.
pub(super) fn one_norm(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    let norms: Array1<f64> = head
        .value()
        .map_axis(Axis(1), |value| value.iter().map(|v| v.abs()).sum());
    &trace.weights * &norms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Weights 1/2, 1/2 and 1/4, 1/4, 1/2; squared norms 16, 16, 8; 1-norms 4, 4, 4.
        let head = two_queries();
        let trace = trace(&head);
        let squares = array![[4.0, 4.0, 0.0], [1.0, 1.0, 2.0]];
        assert_relative_eq!(two_norm(&head, &trace), squares, max_relative = 1e-15);
        let norms = array![[2.0, 2.0, 0.0], [1.0, 1.0, 2.0]];
        assert_relative_eq!(one_norm(&head, &trace), norms, max_relative = 1e-15);
    }

    #[test]
    fn the_one_norm_takes_magnitudes() {
        let head = Head::new(array![[1.0]], array![[1.0]], array![[-1.0, 2.0]]).unwrap();
        let trace = trace(&head);
        assert_eq!(one_norm(&head, &trace), array![[3.0]]);
    }
}
