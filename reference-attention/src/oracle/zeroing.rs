//! Zeroing writes zeros into a slot that stays: the deletions that the closed forms of OBCache describe.

use ndarray::{Array1, Array2};
use obd_core::Head;

use super::change;
use crate::Scalar;

/// Change of the output when the value of `token` becomes 0 and its key stays, shape (query_len, value_dim).
///
/// A token past the end changes nothing.
pub fn value_zeroing<S: Scalar>(head: &Head<S>, token: usize) -> Array2<S> {
    change(head, &without_value(head, token))
}

/// Change of the output when the key of `token` becomes 0, so that its logit is 0, and its value stays, shape
/// (query_len, value_dim).
///
/// A token past the end changes nothing.
pub fn key_zeroing<S: Scalar>(head: &Head<S>, token: usize) -> Array2<S> {
    change(head, &without_key(head, token))
}

/// Change of the output when key and value of `token` become 0 and the slot stays, shape (query_len, value_dim).
///
/// A token past the end changes nothing.
pub fn joint_zeroing<S: Scalar>(head: &Head<S>, token: usize) -> Array2<S> {
    change(head, &without_value(&without_key(head, token), token))
}

/// The head with the key of `token` zeroed; the head itself where there is no such token.
fn without_key<S: Scalar>(head: &Head<S>, token: usize) -> Head<S> {
    if token >= head.kv_len() {
        return head.clone();
    }
    let zeros = Array1::from_elem(head.head_dim(), S::from_f64(0.0));
    let zeroed = head.clone().replace_key(token, zeros, S::to_f64);
    zeroed.expect("a logit of 0 is within the limit, and its bias was before")
}

/// The head with the value of `token` zeroed; the head itself where there is no such token.
fn without_value<S: Scalar>(head: &Head<S>, token: usize) -> Head<S> {
    if token >= head.kv_len() {
        return head.clone();
    }
    let zeros = Array1::from_elem(head.value_dim(), S::from_f64(0.0));
    let zeroed = head.clone().replace_value(token, zeros, S::to_f64);
    zeroed.expect("a value of 0 is within the limit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::test_heads::logs;
    use approx::assert_relative_eq;
    use ndarray::array;

    // Weights 1/8, 2/8, 5/8 on values 8, 4, 0: output 2.

    #[test]
    fn a_zero_value_takes_its_share() {
        assert_relative_eq!(value_zeroing(&logs(), 1), array![[-1.0]], max_relative = 1e-15);
    }

    #[test]
    fn a_zero_key_keeps_its_value_at_logit_zero() {
        // Odds 1 : 2 : 5 become 1 : 1 : 5: output (8 + 4) / 7.
        assert_relative_eq!(
            key_zeroing(&logs(), 1),
            array![[12.0 / 7.0 - 2.0]],
            max_relative = 1e-14
        );
    }

    #[test]
    fn joint_zeroing_keeps_the_slot() {
        // Odds 1 : 1 : 5 with value 0 in the middle: output 8 / 7.
        assert_relative_eq!(
            joint_zeroing(&logs(), 1),
            array![[8.0 / 7.0 - 2.0]],
            max_relative = 1e-14
        );
    }

    #[test]
    fn a_token_past_the_end_changes_nothing() {
        for zeroing in [value_zeroing, key_zeroing, joint_zeroing] {
            assert_eq!(zeroing(&logs(), 3), array![[0.0]]);
        }
    }
}
