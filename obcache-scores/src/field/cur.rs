//! CurDKV lets squared norms of keys and values stand in for their leverage scores.
//!
//! ```text
//! ‖k_j‖² ‖v_j‖², each divided by its sum over a local window; normalised to sum 1          2509.15038
//! ```
//! Sinks are not protected here: the score says nothing of them. The leverage scores themselves: [`leverage`](super::leverage).

use ndarray::{Array1, ArrayView2, s};

use super::KvGroup;
use super::kv_group::norms;

/// Whose squared norms count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurKind {
    /// The key's.
    Key,
    /// The value's.
    Value,
    /// The mean of both, which is their sum once it is normalised.
    Average,
    /// Their product, the paper's.
    Product,
}

/// Saliency of every token, shape (kv_len), sums to 1; norms are shares of their block of `local_window` tokens, or whole
/// where that is `None`. A block of zero norm has shares of 0.
pub fn cur(group: &KvGroup, kind: CurKind, local_window: Option<usize>) -> Array1<f64> {
    let key = || shares(group.key().view(), local_window);
    let value = || shares(group.value().view(), local_window);
    let saliency = match kind {
        CurKind::Key => key(),
        CurKind::Value => value(),
        CurKind::Average => key() + value(),
        CurKind::Product => key() * value(),
    };
    share_of_sum(saliency)
}

fn shares(rows: ArrayView2<f64>, local_window: Option<usize>) -> Array1<f64> {
    let mut squares = norms(rows).mapv(|norm| norm * norm);
    if let Some(window) = local_window {
        for start in (0..squares.len()).step_by(window.max(1)) {
            let mut block = squares.slice_mut(s![start..(start + window.max(1)).min(rows.nrows())]);
            let shares = share_of_sum(block.to_owned());
            block.assign(&shares);
        }
    }
    squares
}

fn share_of_sum(parts: Array1<f64>) -> Array1<f64> {
    match parts.sum() {
        0.0 => parts,
        sum => parts / sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Head;

    fn group() -> KvGroup {
        let head = Head::new(array![[0.0]], array![[1.0], [2.0], [1.0]], array![[1.0], [1.0], [3.0]]).unwrap();
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    #[test]
    fn whole_norms() {
        // Squares 1, 4, 1 of keys and 1, 1, 9 of values.
        for (kind, expected) in [
            (CurKind::Key, [1.0, 4.0, 1.0]),
            (CurKind::Value, [1.0, 1.0, 9.0]),
            (CurKind::Average, [1.0, 2.5, 5.0]),
            (CurKind::Product, [1.0, 4.0, 9.0]),
        ] {
            let expected = Array1::from_iter(expected);
            let expected = &expected / expected.sum();
            assert_relative_eq!(cur(&group(), kind, None), expected, max_relative = 1e-15);
        }
    }

    #[test]
    fn shares_of_a_local_window() {
        // Windows of two: keys 1/5, 4/5, 1; values 1/2, 1/2, 1; products 1/10, 4/10, 1, together 3/2.
        let expected = array![1.0 / 15.0, 4.0 / 15.0, 10.0 / 15.0];
        assert_relative_eq!(cur(&group(), CurKind::Product, Some(2)), expected, max_relative = 1e-15);
    }

    #[test]
    fn zeros_have_no_share() {
        let head = Head::new(array![[0.0]], array![[0.0], [0.0]], array![[0.0], [1.0]]).unwrap();
        let trace = trace(&head);
        let group = KvGroup::new(vec![(head, trace)]).unwrap();
        assert_eq!(cur(&group, CurKind::Product, Some(1)), array![0.0, 0.0]);
        assert_eq!(cur(&group, CurKind::Average, Some(0)), array![0.0, 1.0]);
    }
}
