//! Greedy removal by the Gram matrix: the cheapest selection that sees how tokens add up, to first order.
//!
//! ```text
//! error of S + j ≈ 1_SᵀG1_S + 2 sum_{l in S} G_jl + G_jj
//! ```
//! What it leaves out is the renormalisation, the factor 1 / (1 - m_i)² of claim C13: it is the measure of what that is worth.
//! Without a sink the error of all tokens is 0 to first order, so it goes astray where little is kept.

use ndarray::Array2;

/// The first `evicted` tokens to go, in their order; of equals the older goes first. `gram` has shape (kv_len, kv_len).
///
/// O(kv_len) an eviction once the matrix is there.
pub fn order(gram: &Array2<f64>, evicted: usize) -> Vec<usize> {
    let mut costs = gram.diag().to_owned();
    let mut order = Vec::new();
    for _ in 0..evicted.min(gram.nrows()) {
        let open = (0..costs.len()).filter(|token| !order.contains(token));
        let Some(next) = open.min_by(|&a, &b| costs[a].total_cmp(&costs[b])) else {
            break;
        };
        costs.scaled_add(2.0, &gram.row(next));
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn opposite_perturbations_go_together() {
        // Perturbations 2, -2.5, 3: first 2 (4), then -2.5 (0.25 together), not 3 (25 together).
        let rows = array![[3.0], [2.0], [-2.5]];
        assert_eq!(order(&rows.dot(&rows.t()), 3), [1, 2, 0]);
    }

    #[test]
    fn of_equals_the_older_goes_first() {
        assert_eq!(order(&Array2::zeros((3, 3)), 2), [0, 1]);
        assert_eq!(order(&Array2::zeros((2, 2)), 9), [0, 1]);
    }
}
