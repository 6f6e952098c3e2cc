//! One number a token: the squared norm of its perturbation, summed over a query window.

use ndarray::{Array1, Array2};
use obd_core::{Head, Perturbation, QueryWindow};

use super::{joint_zeroing, key_zeroing, removal, value_zeroing};
use crate::Scalar;

/// Change of the output under the named perturbation of `token`, shape (query_len, value_dim). Claim C8.
pub fn perturbation<S: Scalar>(head: &Head<S>, what: Perturbation, token: usize) -> Array2<S> {
    match what {
        Perturbation::Removal => removal(head, token),
        Perturbation::KeyZeroing => key_zeroing(head, token),
        Perturbation::ValueZeroing => value_zeroing(head, token),
        Perturbation::JointZeroing => joint_zeroing(head, token),
    }
}

/// Sum over the queries of the window of the squared norm of their row of `perturbation`, shape (query_len, value_dim).
pub fn error<S: Scalar>(perturbation: &Array2<S>, window: QueryWindow) -> S {
    let mut sum = S::from_f64(0.0);
    for i in window.queries(perturbation.nrows()) {
        for change in perturbation.row(i) {
            sum = sum + change.clone() * change.clone();
        }
    }
    sum
}

/// The [`error`] of every token under the named perturbation, shape (kv_len).
///
/// Runs attention twice a token: O(query_len · kv_len² · (head_dim + value_dim)).
pub fn token_errors<S: Scalar>(head: &Head<S>, what: Perturbation, window: QueryWindow) -> Array1<S> {
    Array1::from_shape_fn(head.kv_len(), |token| error(&perturbation(head, what, token), window))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::test_heads::logs;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn squares_are_summed_inside_the_window_only() {
        let perturbation = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(error(&perturbation, QueryWindow::All), 91.0);
        assert_eq!(error(&perturbation, QueryWindow::Last(2)), 86.0);
        assert_eq!(error(&perturbation, QueryWindow::Last(1)), 61.0);
    }

    #[test]
    fn each_name_reaches_its_perturbation() {
        let head = logs();
        assert_eq!(perturbation(&head, Perturbation::Removal, 0), removal(&head, 0));
        assert_eq!(perturbation(&head, Perturbation::KeyZeroing, 1), key_zeroing(&head, 1));
        assert_eq!(
            perturbation(&head, Perturbation::ValueZeroing, 1),
            value_zeroing(&head, 1)
        );
        assert_eq!(
            perturbation(&head, Perturbation::JointZeroing, 1),
            joint_zeroing(&head, 1)
        );
    }

    #[test]
    fn one_number_a_token() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0.
        let errors = token_errors(&logs(), Perturbation::ValueZeroing, QueryWindow::All);
        assert_relative_eq!(errors, array![1.0, 1.0, 0.0], max_relative = 1e-14);
    }
}
