//! Replacement puts another key or value into a slot: what quantising the cache does.

use ndarray::{Array1, Array2};
use obd_core::{Head, ProblemError};

use super::change;
use crate::Scalar;

/// Change of the output when the key of `token` becomes `key`, shape (query_len, value_dim).
///
/// # Errors
/// [`ProblemError`] where there is no such token, the length of `key` is not head_dim, an element is NaN or infinite, or a
/// logit is beyond [`LIMIT`](obd_core::LIMIT).
pub fn key_replacement<S: Scalar>(head: &Head<S>, token: usize, key: Array1<S>) -> Result<Array2<S>, ProblemError> {
    Ok(change(head, &head.clone().replace_key(token, key, S::to_f64)?))
}

/// Change of the output when the value of `token` becomes `value`, shape (query_len, value_dim).
///
/// # Errors
/// [`ProblemError`] where there is no such token, the length of `value` is not value_dim, an element is NaN or infinite, or
/// beyond [`LIMIT`](obd_core::LIMIT).
pub fn value_replacement<S: Scalar>(head: &Head<S>, token: usize, value: Array1<S>) -> Result<Array2<S>, ProblemError> {
    Ok(change(head, &head.clone().replace_value(token, value, S::to_f64)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::test_heads::logs;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn a_value_moves_the_output_by_its_weight() {
        let change = value_replacement(&logs(), 1, array![12.0]).unwrap();
        assert_relative_eq!(change, array![[0.25 * 8.0]], max_relative = 1e-15);
    }

    #[test]
    fn a_key_moves_all_the_weights() {
        // Logits ln 1, ln 2, ln 5 become ln 1, ln 2, ln 1: weights 1/4, 2/4, 1/4, output 4.
        let change = key_replacement(&logs(), 2, array![0.0]).unwrap();
        assert_relative_eq!(change, array![[4.0 - 2.0]], max_relative = 1e-14);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(key_replacement(&logs(), 3, array![0.0]).is_err());
        assert!(value_replacement(&logs(), 0, array![0.0, 0.0]).is_err());
    }
}
