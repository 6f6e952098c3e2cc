//! What Optimal Brain Damage minimises: how far the output moves.

use ndarray::Array2;

use crate::QueryWindow;

/// `E = sum over the window of ‖o_i(theta + delta) - o_i(theta)‖²`, both outputs of shape (query_len, value_dim).
///
/// Claim C1: at delta = 0 both E and its gradient are 0, so the second order is the first that matters.
pub fn objective(output: &Array2<f64>, perturbed: &Array2<f64>, window: QueryWindow) -> f64 {
    let mut sum = 0.0;
    for i in window.queries(output.nrows()) {
        for (before, after) in output.row(i).iter().zip(perturbed.row(i)) {
            sum += (after - before).powi(2);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn squares_inside_the_window() {
        let (before, after) = (array![[1.0, 2.0], [3.0, 4.0]], array![[2.0, 4.0], [6.0, 8.0]]);
        assert_eq!(objective(&before, &after, QueryWindow::All), 30.0);
        assert_eq!(objective(&before, &after, QueryWindow::Last(1)), 25.0);
    }
}
