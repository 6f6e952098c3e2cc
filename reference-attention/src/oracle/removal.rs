//! Removal takes the slot away, and the weights of the others are renormalised: what eviction does.

use ndarray::Array2;
use obd_core::Head;

use super::change;
use crate::Scalar;

/// Change of the output when `token` is removed, shape (query_len, value_dim).
///
/// A query that saw only this token loses its whole output. A token past the end changes nothing.
pub fn removal<S: Scalar>(head: &Head<S>, token: usize) -> Array2<S> {
    set_removal(head, &[token])
}

/// Change of the output when all of `tokens` are removed together, shape (query_len, value_dim).
///
/// A query that saw no other token loses its whole output. Tokens past the end change nothing.
pub fn set_removal<S: Scalar>(head: &Head<S>, tokens: &[usize]) -> Array2<S> {
    change(head, &head.clone().without(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::test_heads::{logs, shy};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn the_others_share_the_weight() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0: output 2. Without the first: 2/7 of 4.
        assert_relative_eq!(removal(&logs(), 0), array![[8.0 / 7.0 - 2.0]], max_relative = 1e-15);
    }

    #[test]
    fn a_set_leaves_what_is_left() {
        assert_relative_eq!(set_removal(&logs(), &[1, 2]), array![[8.0 - 2.0]], max_relative = 1e-15);
        assert_relative_eq!(set_removal(&logs(), &[0, 1, 2]), array![[-2.0]], max_relative = 1e-15);
    }

    #[test]
    fn the_sole_visible_token_takes_the_output_with_it() {
        assert_eq!(removal(&shy(), 0), array![[-8.0]]);
    }

    #[test]
    fn a_hidden_token_and_one_past_the_end_change_nothing() {
        assert_eq!(removal(&shy(), 1), array![[0.0]]);
        assert_eq!(removal(&logs(), 3), array![[0.0]]);
    }
}
