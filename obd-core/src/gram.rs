//! The Gram matrix knows what single-token saliencies do not: how the tokens' perturbations add up.
//!
//! ```text
//! G_jl = sum_i a_ij a_il (v_j - o_i)·(v_l - o_i)        over the queries of the window
//! ```
//! G is positive semi-definite, its diagonal is the first-order saliency of evicting one token, and
//! `1_Sᵀ G 1_S` the first-order error of evicting the set S. Optimal Brain Damage keeps the diagonal alone.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis};

use crate::{AttentionTrace, Head, QueryWindow};

/// The Gram matrix over the queries of `window`, shape (kv_len, kv_len). O(query_len · kv_len² · value_dim). Claim C4.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn gram(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Array2<f64> {
    let mut gram = Array2::zeros((head.kv_len(), head.kv_len()));
    for i in window.queries(head.query_len()) {
        let output = trace.output.row(i);
        let weights = trace.weights.row(i).insert_axis(Axis(1));
        let gaps = (head.value() - &output) * weights;
        general_mat_mul(1.0, &gaps, &gaps.t(), 1.0, &mut gram);
    }
    gram
}

/// `1_Sᵀ G 1_S`: first-order error of evicting the tokens of the set together. Tokens past the end add nothing.
/// Claim C4.
pub fn first_order_set_error(gram: &Array2<f64>, tokens: &[usize]) -> f64 {
    let cached = || tokens.iter().filter(|&&token| token < gram.nrows());
    let mut sum = 0.0;
    for &j in cached() {
        for &l in cached() {
            sum += gram[[j, l]];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Weights times (value - output): 6/8, 4/8, -10/8.
        let head = logs();
        let gram = gram(&head, &trace(&head), QueryWindow::All);
        let row = array![0.75, 0.5, -1.25];
        let expected = Array2::from_shape_fn((3, 3), |(j, l)| row[j] * row[l]);
        assert_relative_eq!(gram, expected, max_relative = 1e-14);
        assert_relative_eq!(first_order_set_error(&gram, &[0, 2]), 0.25, max_relative = 1e-13);
        assert_eq!(first_order_set_error(&gram, &[7]), 0.0);
    }

    #[test]
    fn only_the_window_counts() {
        // Last query: weights 1/4, 1/4, 1/2, gaps (2, -2), (-2, 2), (0, 0).
        let head = two_queries();
        let last = gram(&head, &trace(&head), QueryWindow::Last(1));
        assert_relative_eq!(
            last,
            array![[0.5, -0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 0.0]],
            epsilon = 1e-15
        );
        let all = gram(&head, &trace(&head), QueryWindow::All);
        assert_relative_eq!(all[[0, 0]], 2.5, max_relative = 1e-14);
    }
}
