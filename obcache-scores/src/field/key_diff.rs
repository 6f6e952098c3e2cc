//! KeyDiff evicts the keys that point where the average key points.
//!
//! ```text
//! -cos(k_j, mean over l of k_l / ‖k_l‖)          2504.15364
//! ```
//! Blind to queries and values: redundancy among keys stands in for importance. Closest to no perturbation of the output.

use ndarray::{Array1, Axis};

use super::KvGroup;
use super::kv_group::norms;

/// Norms below these are taken as these: of a key, and within the cosine. PyTorch's guards.
const SHORTEST_KEY: f64 = 1e-12;
const SHORTEST_SIDE: f64 = 1e-8;

/// Saliency of every token, shape (kv_len), from -1 to 1. Claim C29.
pub fn key_diff(group: &KvGroup) -> Array1<f64> {
    let lengths = norms(group.key().view());
    let directions = group.key() / &lengths.mapv(|length| length.max(SHORTEST_KEY)).insert_axis(Axis(1));
    let anchor = directions.sum_axis(Axis(0)) / group.kv_len() as f64;
    let anchor_length = anchor.dot(&anchor).sqrt().max(SHORTEST_SIDE);
    -group.key().dot(&anchor) / lengths.mapv(|length| length.max(SHORTEST_SIDE) * anchor_length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Head;

    #[test]
    fn the_key_that_stands_out_is_kept() {
        // Directions (1,0), (1,0), (0,1), 0: anchor (2,1)/4, cosines 2/√5, 2/√5, 1/√5; a zero key has none.
        let key = array![[3.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]];
        let head = Head::new(array![[1.0, 0.0]], key, Array1::ones(4).insert_axis(Axis(1))).unwrap();
        let trace = trace(&head);
        let root = 5f64.sqrt();
        let expected = array![-2.0 / root, -2.0 / root, -1.0 / root, 0.0];
        let saliency = key_diff(&KvGroup::new(vec![(head, trace)]).unwrap());
        assert_relative_eq!(saliency, expected, max_relative = 1e-15);
    }

    #[test]
    fn equal_keys_point_where_their_mean_does_and_a_short_anchor_is_guarded() {
        let saliency = |key| {
            let head = Head::new(array![[1.0, 0.0]], key, array![[1.0], [1.0]]).unwrap();
            let trace = trace(&head);
            key_diff(&KvGroup::new(vec![(head, trace)]).unwrap())
        };
        assert_eq!(saliency(array![[2.0, 0.0], [1.0, 0.0]]), array![-1.0, -1.0]);
        // Directions that cancel but for 4·10⁻⁹: the anchor of length 2·10⁻⁹ counts as 10⁻⁸.
        let short = saliency(array![[1.0, 0.0], [-1.0, 4e-9]]);
        assert_relative_eq!(short, array![0.0, -8e-10], max_relative = 1e-12);
    }
}
