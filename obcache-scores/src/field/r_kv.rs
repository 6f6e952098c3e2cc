//! R-KV weighs a token's importance against its redundancy: a key that resembles many others can go.
//!
//! ```text
//! λ importance_j - (1 - λ) softmax_j( mean over l of cos(k_l, k_j) )          2505.24133
//! ```
//! without the key's own cosine, and without the cosine that each row l gives to the last token it resembles by more than a
//! threshold: of a row of likenesses the newest is not redundant. The field's first step beyond single tokens; all pairs of
//! keys, O(kv_len² · head_dim).

use ndarray::{Array1, Axis};

use super::kv_group::norms;
use super::lag_kv::softmax;
use super::{KvGroup, Missing};

/// Shortest key length that is told from 0, as the authors guard it.
const GUARD: f64 = 1e-8;

/// Redundancy of every token, shape (kv_len), sums to 1. A row that resembles no token gives up its first one's cosine, as
/// in the authors' code. Claim C33.
pub fn redundancy(group: &KvGroup, threshold: f64) -> Array1<f64> {
    let lengths = norms(group.key().view()).mapv(|length| length + GUARD);
    let directions = group.key() / &lengths.insert_axis(Axis(1));
    let mut cosines = directions.dot(&directions.t());
    for (own, mut row) in cosines.rows_mut().into_iter().enumerate() {
        row[own] = 0.0;
        let newest = row.iter().rposition(|&cosine| cosine > threshold).unwrap_or(0);
        row[newest] = 0.0;
    }
    softmax(cosines.sum_axis(Axis(0)) / group.kv_len() as f64)
}

/// Saliency of every token, shape (kv_len), with `mix` the λ of the formula and importance as [`snapkv`](super::snapkv)
/// gives it: protected (infinite) tokens stay so.
///
/// # Errors
/// [`Missing::Base`] where `importance` is not of shape (kv_len).
pub fn r_kv(group: &KvGroup, importance: &Array1<f64>, mix: f64, threshold: f64) -> Result<Array1<f64>, Missing> {
    if importance.len() != group.kv_len() {
        return Err(Missing::Base);
    }
    let weighed = importance.mapv(|importance| {
        if importance == f64::INFINITY {
            importance
        } else {
            mix * importance
        }
    });
    Ok(weighed - redundancy(group, threshold) * (1.0 - mix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};
    use obd_core::Head;

    fn group() -> KvGroup {
        // Keys 0, 1 and 2 point alike, key 3 across.
        let key = array![[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0]];
        let head = Head::new(array![[0.0, 0.0]], key, Array2::ones((4, 1))).unwrap();
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    #[test]
    fn older_likenesses_are_redundant_and_the_newest_is_not() {
        // Rows 0 and 1 spare token 2, row 2 spares token 1: columns 0 and 1 keep two cosines and one of 1, column 2 none.
        let inputs = [2.0f64 / 4.0, 1.0 / 4.0, 0.0, 0.0].map(f64::exp);
        let sum: f64 = inputs.iter().sum();
        let expected: Array1<f64> = inputs.iter().map(|x| x / sum).collect();
        assert_relative_eq!(redundancy(&group(), 0.5), expected, max_relative = 1e-7);
    }

    #[test]
    fn importance_less_redundancy() {
        let importance = array![1.0, 2.0, 3.0, f64::INFINITY];
        let saliency = r_kv(&group(), &importance, 0.25, 0.5).unwrap();
        let redundant = redundancy(&group(), 0.5);
        assert_eq!(saliency[1], 0.5 - 0.75 * redundant[1]);
        assert_eq!(saliency[3], f64::INFINITY);
        assert_eq!(r_kv(&group(), &array![1.0], 0.1, 0.5), Err(Missing::Base));
        // λ = 0 looks at redundancy alone, and still protects.
        assert_eq!(r_kv(&group(), &importance, 0.0, 0.5).unwrap()[3], f64::INFINITY);
    }

    #[test]
    fn a_cosine_at_the_threshold_is_no_likeness_and_short_keys_have_directions() {
        let redundancy_of = |key, threshold| {
            let head = Head::new(array![[0.0, 0.0]], key, Array2::ones((2, 1))).unwrap();
            let trace = trace(&head);
            redundancy(&KvGroup::new(vec![(head, trace)]).unwrap(), threshold)
        };
        // Each key resembles itself alone by more than their cosine, and so gives up nothing.
        let length = 1.0 / (1.0 + GUARD);
        let opposite = redundancy_of(array![[1.0, 0.0], [-1.0, 0.0]], -(length * length));
        assert_eq!(opposite, array![0.5, 0.5]);
        let short = redundancy_of(array![[GUARD, 0.0], [1.0, 0.0]], 2.0);
        assert_relative_eq!(short.sum(), 1.0, max_relative = 1e-15);
    }
}
