//! Whether a replacement beats its heuristic: differences document by document, and a sign-flip test.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::agreement::{Interval, bootstrap};

/// Sign patterns drawn: a p-value below 0.001 then rests on ten of them.
const DRAWS: usize = 9999;

/// Seed of the generator (ChaCha8) of signs.
const SEED: u64 = 0x0bca_c4e7;

/// A mean difference over documents with its 95 % bootstrap interval, and how likely so large a one is by chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Mean difference over the documents.
    pub difference: Interval,
    /// Two-sided p-value of the sign-flip test: where the two methods are exchangeable, each document's difference is as
    /// likely to have either sign.
    pub p: f64,
}

/// Of one difference a document; `None` where there is none.
pub fn paired(differences: &[f64]) -> Option<Paired> {
    let difference = bootstrap(differences)?;
    let observed = differences.iter().sum::<f64>().abs();
    // What rounding alone may take from an equal sum.
    let slack = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let mut as_large = 0;
    for _ in 0..DRAWS {
        let flipped: f64 = differences
            .iter()
            .map(|d| if generator.random::<bool>() { *d } else { -d })
            .sum();
        as_large += usize::from(flipped.abs() >= observed - slack);
    }
    let p = (1 + as_large) as f64 / (1 + DRAWS) as f64;
    Some(Paired { difference, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_by_hand() {
        // Ten equal differences: only two of 1024 sign patterns are as large.
        let ten = paired(&[1.0; 10]).unwrap();
        assert!((ten.p - 2.0 / 1024.0).abs() < 2e-3, "{}", ten.p);
        assert_eq!(ten.difference.mean, 1.0);
        // No difference at all is as large as any.
        assert_eq!(paired(&[0.0; 4]).unwrap().p, 1.0);
        assert_eq!(paired(&[1.0, -1.0]).unwrap().p, 1.0);
        assert_eq!(paired(&[]), None);
    }
}
