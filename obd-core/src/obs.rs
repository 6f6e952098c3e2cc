//! Optimal Brain Surgeon moves the surviving values so that they make up for what was evicted.
//!
//! With the set S removed the weights of the kept tokens are renormalised, and what is left to choose is linear:
//!
//! ```text
//! minimise over dV   sum_i ‖ sum_kept a'_il (v_l + dv_l) - o_i ‖²        a'_il = a_il / (1 - sum_S a_ij)
//! ```
//! This is an *exact* least-squares problem in the kept values, one per channel, solved by LAPACK (`gelsd`) with the
//! least-norm solution where it is rank deficient. Optimal Brain Damage stops before this step.

use ndarray::{Array1, Array2, Axis, s};
use ndarray_linalg::LeastSquaresSvd;
use ndarray_linalg::error::LinalgError;

use crate::{AttentionTrace, Head, QueryWindow};

/// What Optimal Brain Surgeon makes of a removal.
#[derive(Debug, Clone, PartialEq)]
pub struct Compensation {
    /// Change of every value, shape (kv_len, value_dim); 0 for the removed tokens.
    pub value_update: Array2<f64>,
    /// Error of the removal without the update: the exact set error of claim C13.
    pub error_without: f64,
    /// Error that the update leaves; never above `error_without` but for rounding.
    pub error_with: f64,
}

/// The best update of the kept values when `removed` is evicted, over the queries of `window`. Claim C4.
///
/// Tokens past the end are ignored. A query that is left with no token cannot be helped; it adds ‖o‖² to both errors.
///
/// # Errors
/// LAPACK's, where the singular value decomposition does not converge.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn compensate(
    head: &Head,
    trace: &AttentionTrace,
    removed: &[usize],
    window: QueryWindow,
) -> Result<Compensation, LinalgError> {
    let kept: Vec<usize> = (0..head.kv_len()).filter(|j| !removed.contains(j)).collect();
    let queries: Vec<usize> = window.queries(head.query_len()).collect();
    let weights = renormalised(head, trace, &queries, &kept);
    let residual = residual(trace, &weights, head.value(), &queries, &kept);
    let mut value_update = Array2::zeros(head.value().dim());
    if !kept.is_empty() && !queries.is_empty() {
        let solution = weights.least_squares(&residual)?.solution;
        for (&j, update) in kept.iter().zip(solution.rows()) {
            value_update.row_mut(j).assign(&update);
        }
    }
    let left = &residual - &product(&weights, &value_update.select(Axis(0), &kept));
    Ok(Compensation {
        value_update,
        error_without: squared_norm(&residual),
        error_with: squared_norm(&left),
    })
}

/// Error of the removal of `removed` when the kept values were moved by `value_update`, over the queries of `window`:
/// of any queries, also of those that the update was not fitted to.
///
/// `value_update` has the shape of the values, or fewer rows: the tokens past its end keep their values.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`, or those of `value_update` are larger.
pub fn error_with_update(
    head: &Head,
    trace: &AttentionTrace,
    removed: &[usize],
    value_update: &Array2<f64>,
    window: QueryWindow,
) -> f64 {
    let kept: Vec<usize> = (0..head.kv_len()).filter(|j| !removed.contains(j)).collect();
    let queries: Vec<usize> = window.queries(head.query_len()).collect();
    let weights = renormalised(head, trace, &queries, &kept);
    let mut values = head.value().clone();
    let mut moved = values.slice_mut(s![..value_update.nrows(), ..]);
    moved += value_update;
    squared_norm(&residual(trace, &weights, &values, &queries, &kept))
}

/// Output less what the kept tokens with these `values` give, shape (queries, value_dim).
fn residual(
    trace: &AttentionTrace,
    weights: &Array2<f64>,
    values: &Array2<f64>,
    queries: &[usize],
    kept: &[usize],
) -> Array2<f64> {
    trace.output.select(Axis(0), queries) - product(weights, &values.select(Axis(0), kept))
}

/// Greedy Optimal Brain Surgeon: evicts, one after the other, the token whose removal with compensation leaves the least
/// error, until `kept` tokens are left; first evicted first. Of equals the older goes first.
///
/// For small problems: O(kv_len²) least-squares problems.
///
/// # Errors
/// LAPACK's, where a singular value decomposition does not converge.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn greedy_order(
    head: &Head,
    trace: &AttentionTrace,
    kept: usize,
    window: QueryWindow,
) -> Result<Vec<usize>, LinalgError> {
    let mut removed: Vec<usize> = Vec::new();
    for _ in kept..head.kv_len() {
        let mut best: Option<(f64, usize)> = None;
        for token in (0..head.kv_len()).filter(|token| !removed.contains(token)) {
            let error = compensate(head, trace, &[&removed[..], &[token]].concat(), window)?.error_with;
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, token));
            }
        }
        removed.extend(best.map(|(_, token)| token));
    }
    Ok(removed)
}

/// Weights of the kept tokens over the weight they and the sink hold, shape (queries, kept); a query that is left with
/// no weight has a row of 0.
fn renormalised(head: &Head, trace: &AttentionTrace, queries: &[usize], kept: &[usize]) -> Array2<f64> {
    let mut weights = trace.weights.select(Axis(0), queries).select(Axis(1), kept);
    for (mut row, &i) in weights.rows_mut().into_iter().zip(queries) {
        let left = row.sum() + trace.sink_weight(head, i);
        if left > 0.0 {
            row /= left;
        }
    }
    weights
}

/// The matrix product, summed in a fixed order.
fn product(weights: &Array2<f64>, values: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn((weights.nrows(), values.ncols()), |(i, c)| {
        weights.row(i).iter().zip(values.column(c)).map(|(a, v)| a * v).sum()
    })
}

fn squared_norm(matrix: &Array2<f64>) -> f64 {
    Array1::from_iter(matrix.iter().map(|x| x * x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn one_query_is_compensated_in_full() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0: output 2. Without the last: 1/3, 2/3, output 16/3, residual -10/3;
        // least norm: (1/3, 2/3) (-10/3) / (5/9) = (-2, -4).
        let head = logs();
        let compensation = compensate(&head, &trace(&head), &[2], QueryWindow::All).unwrap();
        assert_relative_eq!(
            compensation.value_update,
            array![[-2.0], [-4.0], [0.0]],
            max_relative = 1e-12
        );
        assert_relative_eq!(compensation.error_without, 100.0 / 9.0, max_relative = 1e-13);
        assert_relative_eq!(compensation.error_with, 0.0, epsilon = 1e-24);
    }

    #[test]
    fn two_queries_of_one_token_meet_halfway() {
        // Left with token 0 alone both queries see only it: outputs 2 and 6 want 4.
        let head = Head::new(array![[0.0], [1.0]], array![[0.0], [3f64.ln()]], array![[0.0], [8.0]]).unwrap();
        let head = head.with_visibility(crate::Visibility::all(2, 2)).unwrap();
        let trace = trace(&head); // weights 1/2, 1/2 and 1/4, 3/4: outputs 4 and 6
        let compensation = compensate(&head, &trace, &[1], QueryWindow::All).unwrap();
        assert_relative_eq!(compensation.value_update, array![[5.0], [0.0]], max_relative = 1e-13);
        assert_relative_eq!(compensation.error_without, 16.0 + 36.0, max_relative = 1e-13);
        assert_relative_eq!(compensation.error_with, 2.0, max_relative = 1e-12);
        let last = compensate(&head, &trace, &[1], QueryWindow::Last(1)).unwrap();
        assert_relative_eq!(last.error_without, 36.0, max_relative = 1e-13);
    }

    #[test]
    fn the_sink_keeps_its_share() {
        // Odds 1, 2, 5 and a sink of 8: without the last 1/11, 2/11 on 8, 4: 16/11; output was 1.
        let head = logs().with_sink(8f64.ln()).unwrap();
        let compensation = compensate(&head, &trace(&head), &[2], QueryWindow::All).unwrap();
        assert_relative_eq!(
            compensation.error_without,
            (5.0f64 / 11.0).powi(2),
            max_relative = 1e-12
        );
    }

    #[test]
    fn nothing_kept_cannot_be_helped() {
        let head = logs();
        let compensation = compensate(&head, &trace(&head), &[0, 1, 2, 9], QueryWindow::All).unwrap();
        assert_relative_eq!(compensation.error_without, 4.0, max_relative = 1e-13);
        assert_eq!(compensation.error_with, compensation.error_without);
    }

    #[test]
    fn a_window_of_no_query_leaves_nothing_to_make_up_for() {
        let head = logs();
        for removed in [&[2][..], &[0, 1, 2]] {
            let compensation = compensate(&head, &trace(&head), removed, QueryWindow::Last(0)).unwrap();
            assert_eq!(compensation.value_update, Array2::<f64>::zeros((3, 1)));
            assert_eq!((compensation.error_without, compensation.error_with), (0.0, 0.0));
        }
    }

    #[test]
    fn a_query_without_a_token_left_adds_its_output_to_both() {
        // The first query sees token 0 alone.
        let head = two_queries();
        let head = head
            .with_visibility(crate::Visibility::from_mask(array![
                [true, false, false],
                [true, true, true]
            ]))
            .unwrap();
        let trace = trace(&head);
        let compensation = compensate(&head, &trace, &[0], QueryWindow::All).unwrap();
        assert_relative_eq!(compensation.error_with, 16.0, max_relative = 1e-12);
    }

    #[test]
    fn an_update_is_judged_on_queries_it_was_not_fitted_to() {
        // Weights 1/2, 1/2 and 1/4, 3/4 on values 0 and 8: outputs 4 and 6. Token 0 alone, fitted to the last query, becomes 6:
        // right for the last, off by 2 for the first. Without an update it is off by 4 and 6.
        let head = Head::new(array![[0.0], [1.0]], array![[0.0], [3f64.ln()]], array![[0.0], [8.0]]).unwrap();
        let head = head.with_visibility(crate::Visibility::all(2, 2)).unwrap();
        let trace = trace(&head);
        let update = compensate(&head, &trace, &[1], QueryWindow::Last(1))
            .unwrap()
            .value_update;
        let error = |update: &Array2<f64>, window| error_with_update(&head, &trace, &[1], update, window);
        assert_relative_eq!(error(&update, QueryWindow::All), 4.0, max_relative = 1e-12);
        assert_relative_eq!(error(&update, QueryWindow::Last(1)), 0.0, epsilon = 1e-24);
        assert_relative_eq!(
            error(&Array2::zeros((1, 1)), QueryWindow::All),
            52.0,
            max_relative = 1e-13
        );
    }

    #[test]
    fn greedy_evicts_what_can_be_made_up_for() {
        // Values of 0 leave no error at all: of equals the older goes first.
        let nothing = Head::new(array![[0.0]], array![[0.0], [0.0], [0.0]], array![[0.0], [0.0], [0.0]]).unwrap();
        assert_eq!(
            greedy_order(&nothing, &trace(&nothing), 1, QueryWindow::All).unwrap(),
            [0, 1]
        );
        assert_eq!(
            greedy_order(&nothing, &trace(&nothing), 3, QueryWindow::All).unwrap(),
            [0usize; 0]
        );
        // Tokens 0 and 1 answer the same way to both queries and one can stand in for the other; token 2 cannot be
        // spared: alone it gives both queries the same output, or leaves them none to tell apart.
        let head = Head::new(
            array![[0.0], [1.0]],
            array![[0.0], [0.0], [3f64.ln()]],
            array![[1.0], [3.0], [9.0]],
        )
        .unwrap()
        .with_visibility(crate::Visibility::all(2, 3))
        .unwrap();
        assert_ne!(greedy_order(&head, &trace(&head), 2, QueryWindow::All).unwrap(), [2]);
    }
}
