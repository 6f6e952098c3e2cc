//! Equal numbers are rounded equally: roundings that add equal terms do not average out.

use std::collections::HashMap;
use std::hash::Hash;

/// `Σ m²` over the groups of m equal terms: between n, where all differ, and n², where all are equal.
pub(super) fn squared_multiplicity<T: Hash + Eq>(terms: impl Iterator<Item = T>) -> f64 {
    classes(terms).1.iter().map(|&size| (size * size) as f64).sum()
}

/// Variance of the roundings of a sum: the mean square of a partial sum in a random order is `S²/3 + ‖x‖²/6`, of which
/// this takes half again as much for the first part, and three times for the second.
pub(super) fn sum_variance(additions: f64, sum: f64, squares: f64) -> f64 {
    additions * (sum * sum + squares) / 2.0
}

/// The group of every term, and the size of every group.
pub(super) fn classes<T: Hash + Eq>(terms: impl Iterator<Item = T>) -> (Vec<usize>, Vec<usize>) {
    let mut seen = HashMap::new();
    let mut sizes = Vec::new();
    let members = terms
        .map(|term| {
            let class = *seen.entry(term).or_insert(sizes.len());
            if class == sizes.len() {
                sizes.push(0);
            }
            sizes[class] += 1;
            class
        })
        .collect();
    (members, sizes)
}

/// The bits of a number, the two zeros being one.
pub(super) fn bits(number: &f64) -> u64 {
    (number + 0.0).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(squared_multiplicity([1, 2, 3].into_iter()), 3.0);
        assert_eq!(squared_multiplicity([7, 7, 7].into_iter()), 9.0);
        assert_eq!(squared_multiplicity([7, 1, 7].into_iter()), 5.0);
        assert_eq!(classes(["a", "b", "a"].into_iter()), (vec![0, 1, 0], vec![2, 1]));
    }
}
