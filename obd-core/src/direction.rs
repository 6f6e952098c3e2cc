//! A direction is a change of all keys and values; deleting a token is one.

use ndarray::Array2;

use crate::Head;

/// A change of the cache, delta = (dK, dV).
///
/// | field | shape |
/// |---|---|
/// | `key` | (kv_len, head_dim) |
/// | `value` | (kv_len, value_dim) |
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Change of the keys.
    pub key: Array2<f64>,
    /// Change of the values.
    pub value: Array2<f64>,
}

impl Direction {
    /// No change.
    pub fn zero(head: &Head) -> Self {
        Self {
            key: Array2::zeros(head.key().dim()),
            value: Array2::zeros(head.value().dim()),
        }
    }

    /// dk_j = -k_j for `token`: the direction of the isolated key score. None past the end.
    pub fn key_deletion(head: &Head, token: usize) -> Self {
        let mut direction = Self::zero(head);
        if token < head.kv_len() {
            direction.key.row_mut(token).assign(&-&head.key().row(token));
        }
        direction
    }

    /// dv_j = -v_j for `token`: the direction of the isolated value score. None past the end.
    pub fn value_deletion(head: &Head, token: usize) -> Self {
        let mut direction = Self::zero(head);
        if token < head.kv_len() {
            direction.value.row_mut(token).assign(&-&head.value().row(token));
        }
        direction
    }

    /// Both deletions of `token`: the direction of the joint score. None past the end.
    pub fn joint_deletion(head: &Head, token: usize) -> Self {
        Self {
            key: Self::key_deletion(head, token).key,
            value: Self::value_deletion(head, token).value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::logs;
    use ndarray::array;

    #[test]
    fn a_deletion_undoes_one_row() {
        let head = logs();
        let key = Direction::key_deletion(&head, 1);
        assert_eq!(key.key, array![[0.0], [-2f64.ln()], [0.0]]);
        assert_eq!(key.value, Array2::<f64>::zeros((3, 1)));
        let value = Direction::value_deletion(&head, 0);
        assert_eq!(value.value, array![[-8.0], [0.0], [0.0]]);
        assert_eq!(value.key, Array2::<f64>::zeros((3, 1)));
        let joint = Direction::joint_deletion(&head, 1);
        assert_eq!((joint.key, joint.value), (key.key, array![[0.0], [-4.0], [0.0]]));
    }

    #[test]
    fn past_the_end_nothing_is_deleted() {
        assert_eq!(Direction::joint_deletion(&logs(), 3), Direction::zero(&logs()));
    }
}
