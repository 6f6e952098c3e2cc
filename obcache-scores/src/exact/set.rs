//! The exact error of evicting a set of tokens together, in closed form (claim C13).
//!
//! ```text
//! change of o_i = -sum_S a_ij (v_j - o_i) / (1 - m_i),   m_i = sum_S a_ij          where m <= 1/2
//!               = o'_i - o_i,   o' = output over the kept tokens                   where m >  1/2
//! ```
//! Both are exact; each is used where it keeps its digits. Where the set holds all that a query sees, o' = 0.

use ndarray::{Array1, Array2, azip};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::exact::survivors::Survivors;

/// Exact change of the output when `tokens` are removed together, perturbed minus original, shape (query_len, value_dim).
/// Claim C13.
///
/// Tokens past the end, and repeated ones, change nothing more.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn perturbation(head: &Head, trace: &AttentionTrace, tokens: &[usize]) -> Array2<f64> {
    let gone = membership(tokens, head.kv_len());
    let mut change = Array2::zeros(trace.output.dim());
    for i in 0..head.query_len() {
        change.row_mut(i).assign(&row_change(head, trace, i, &gone));
    }
    change
}

/// Exact summed squared change of the output over the queries of `window` when `tokens` are removed together.
/// Claims C13 and C37.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn removal_error(head: &Head, trace: &AttentionTrace, tokens: &[usize], window: QueryWindow) -> f64 {
    let gone = membership(tokens, head.kv_len());
    let error = |i: usize| row_change(head, trace, i, &gone).mapv(|change| change * change).sum();
    window.queries(head.query_len()).map(error).sum()
}

/// Whether each of `kv_len` tokens is among `tokens`.
fn membership(tokens: &[usize], kv_len: usize) -> Vec<bool> {
    let mut gone = vec![false; kv_len];
    for &token in tokens {
        if let Some(gone) = gone.get_mut(token) {
            *gone = true;
        }
    }
    gone
}

/// The change of query `i`, length value_dim.
fn row_change(head: &Head, trace: &AttentionTrace, i: usize, gone: &[bool]) -> Array1<f64> {
    let output = trace.output.row(i);
    let weights = trace.weights.row(i);
    // What the query does not see has weight 0, and changes nothing.
    let removed: Vec<usize> = (0..head.kv_len()).filter(|&j| gone[j] && weights[j] > 0.0).collect();
    let mass: f64 = removed.iter().map(|&j| weights[j]).sum();
    if mass > 0.5 {
        let survivors = Survivors::new(head, trace, i, |j| !gone[j]);
        return Array1::from(survivors.output) - output;
    }
    let mut change = Array1::zeros(head.value_dim());
    for j in removed {
        let share = weights[j] / (1.0 - mass);
        azip!((change in &mut change, v in head.value().row(j), o in output) *change -= share * (v - o));
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn change(tokens: &[usize]) -> f64 {
        let head = logs();
        perturbation(&head, &trace(&head), tokens)[[0, 0]]
    }

    #[test]
    fn by_hand_with_little_and_with_much_weight_gone() {
        // Odds 1, 2, 5 on values 8, 4, 0: output 2.
        assert_relative_eq!(change(&[0, 1]), 0.0 - 2.0, max_relative = 1e-14);
        assert_relative_eq!(change(&[1]), 8.0 / 6.0 - 2.0, max_relative = 1e-14);
        assert_relative_eq!(change(&[1, 2]), 8.0 - 2.0, max_relative = 1e-14);
    }

    #[test]
    fn all_that_is_seen_takes_the_output_with_it() {
        assert_relative_eq!(change(&[0, 1, 2]), -2.0, max_relative = 1e-14);
    }

    #[test]
    fn nothing_or_nobody_changes_nothing() {
        assert_eq!(change(&[]), 0.0);
        assert_eq!(change(&[3]), 0.0);
        assert_eq!(change(&[1, 1]), change(&[1]));
    }

    #[test]
    fn a_weight_far_below_one_keeps_its_digits() {
        // Weight 1e-30 on a value 3 away from the output: o' - o would be lost to rounding.
        let head = Head::new(array![[1.0]], array![[1e-30f64.ln()], [0.0]], array![[4.0], [1.0]]).unwrap();
        let change = perturbation(&head, &trace(&head), &[0]);
        assert_relative_eq!(change[[0, 0]], -3e-30, max_relative = 1e-13, epsilon = 0.0);
    }

    #[test]
    fn exactly_half_of_the_weight_gone() {
        // Weights 1/2, 1/2 on values 1 and 3: without the first 3, change 1.
        let head = Head::new(array![[0.0]], array![[0.0], [0.0]], array![[1.0], [3.0]]).unwrap();
        assert_eq!(perturbation(&head, &trace(&head), &[0]), array![[1.0]]);
    }

    #[test]
    fn the_error_sums_squares_over_the_window() {
        // Without the first token: row 0 sees (0, 4) alone, change (-2, 2); row 1 has 1/3 (0, 4) + 2/3 (2, 2),
        // change (-2/3, 2/3).
        let head = two_queries();
        let trace = trace(&head);
        assert_relative_eq!(
            removal_error(&head, &trace, &[0], QueryWindow::Last(1)),
            8.0 / 9.0,
            max_relative = 1e-14
        );
        assert_relative_eq!(
            removal_error(&head, &trace, &[0], QueryWindow::All),
            8.0 + 8.0 / 9.0,
            max_relative = 1e-14
        );
    }
}
