//! The toy score takes a token's squared value in proportion to its weight, as if the weight were the chance that it is read.
//!
//! ```text
//! S_toy = sum_i a_ij ‖v_j‖²        at least S_V, for no weight is above 1
//! ```

use ndarray::{Array2, Axis};
use obd_core::{AttentionTrace, Head};

/// `a ‖v‖²` of every pair, shape (query_len, kv_len).
pub(super) fn contributions(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    let squares = head
        .value()
        .map_axis(Axis(1), |value| value.iter().map(|v| v * v).sum::<f64>());
    &trace.weights * &squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Weights 1/2, 1/2 and 1/4, 1/4, 1/2; squared norms 16, 16, 8.
        let head = two_queries();
        let expected = array![[8.0, 8.0, 0.0], [4.0, 4.0, 4.0]];
        assert_relative_eq!(contributions(&head, &trace(&head)), expected, max_relative = 1e-15);
    }
}
