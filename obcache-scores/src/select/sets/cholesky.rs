//! Pivoted Cholesky of the Gram matrix keeps the tokens whose first-order perturbations span those of the others.
//!
//! ```text
//! pivot = argmax diag(R);   R <- R - r rᵀ / R_pp,  r = R's column p          R = G at first
//! ```
//! What is left of the diagonal is the squared distance of each perturbation from the span of those kept; its sum, the trace of
//! R, is the least error that reweighting the kept tokens could leave *to first order and token by token* (claim C4's Gram).
//! It asks which tokens say something new, not which the output needs: eviction reweights nothing, and the report shows it losing.

use ndarray::{Array1, Array2};

/// The first `budget` pivots of the positive semi-definite `gram`, shape (kv_len, kv_len), in the order in which they were
/// taken; of equals the newer comes first. Once nothing is left to span the newest of the others follow.
///
/// O(kv_len · budget²).
pub fn order(gram: &Array2<f64>, budget: usize) -> Vec<usize> {
    let mut left = gram.diag().to_owned();
    let mut columns: Vec<Array1<f64>> = Vec::new();
    let mut order = Vec::new();
    for _ in 0..budget.min(gram.nrows()) {
        let Some(pivot) = largest(&left) else { break };
        let mut column = gram.column(pivot).to_owned();
        for earlier in &columns {
            column.scaled_add(-earlier[pivot], earlier);
        }
        let root = left[pivot].max(0.0).sqrt();
        if root > 0.0 {
            column /= root;
            left.zip_mut_with(&column, |left, step| *left = (*left - step * step).max(0.0).min(*left));
            columns.push(column);
        }
        left[pivot] = f64::NEG_INFINITY;
        order.push(pivot);
    }
    order
}

/// Place of the largest element, the last of equals, of those that are not yet taken.
fn largest(left: &Array1<f64>) -> Option<usize> {
    let open = (0..left.len()).filter(|&token| left[token] >= 0.0);
    open.max_by(|&a, &b| left[a].total_cmp(&left[b]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Perturbations (2, 0), (2, 1), (0, 1): the second first; distances left 4/5·... of (2,0) to span(2,1): 4/5, of (0,1): 4/5.
        let rows = array![[2.0, 0.0], [2.0, 1.0], [0.0, 1.0]];
        let gram: Array2<f64> = rows.dot(&rows.t());
        assert_eq!(order(&gram, 1), [1]);
        assert_eq!(order(&gram, 9).len(), 3);
        assert_eq!(order(&gram, 9)[0], 1);
    }

    #[test]
    fn each_pivot_is_what_is_farthest_from_the_span_of_those_before() {
        // Squares 9, 16, 2, 13; less the first axis, token 1: 8, 2, 9; less the second, token 3: 4, 1.
        let rows = array![[1.0, 2.0, 2.0], [4.0, 0.0, 0.0], [0.0, 1.0, 1.0], [2.0, 3.0, 0.0]];
        assert_eq!(order(&rows.dot(&rows.t()), 4), [1, 3, 0, 2]);
    }

    #[test]
    fn a_copy_says_nothing_new() {
        // Tokens 0 and 1 alike: 1, then 2, and 0 last though it is larger than 2.
        let rows = array![[3.0, 0.0], [3.0, 0.0], [0.0, 1.0]];
        assert_eq!(order(&rows.dot(&rows.t()), 3), [1, 2, 0]);
    }

    #[test]
    fn where_nothing_is_left_the_newest_follow() {
        assert_eq!(order(&Array2::zeros((3, 3)), 2), [2, 1]);
    }
}
