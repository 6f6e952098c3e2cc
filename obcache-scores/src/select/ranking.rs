//! Selection keeps the most salient tokens that a budget allows.

use std::cmp::Reverse;
use std::ops::Range;

use ndarray::Array1;

use crate::SelectionError;

/// How many tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// So many tokens.
    Tokens(usize),
    /// So large a fraction of the tokens, from 0 to 1, rounded down. kvpress's `compression_ratio` is 1 minus this.
    Fraction(f64),
}

impl Budget {
    /// Tokens kept of `kv_len`, at most all of them.
    ///
    /// # Errors
    /// [`SelectionError::Fraction`] unless the fraction lies in [0, 1].
    pub fn tokens(self, kv_len: usize) -> Result<usize, SelectionError> {
        match self {
            Self::Tokens(tokens) => Ok(tokens.min(kv_len)),
            Self::Fraction(fraction) if (0.0..=1.0).contains(&fraction) => Ok((fraction * kv_len as f64) as usize),
            Self::Fraction(fraction) => Err(SelectionError::Fraction(fraction)),
        }
    }
}

/// Tokens that are kept whatever their saliency; they count towards the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// So many of the first tokens.
    pub sinks: usize,
    /// So many of the last tokens.
    pub recent: usize,
}

impl Protection {
    /// The tokens of `kv_len` that are open to eviction.
    pub fn selectable(self, kv_len: usize) -> Range<usize> {
        let end = kv_len.saturating_sub(self.recent);
        self.sinks.min(end)..end
    }
}

/// Positions kept, ascending: the protected ones and the most salient of the others, `saliency` of shape (kv_len).
/// Claim C43.
///
/// Of equal saliencies the newer token is kept.
///
/// # Errors
/// [`SelectionError`] where a saliency is NaN, the fraction is no fraction, or the budget is below the protected tokens.
///
/// ```
/// use ndarray::array;
/// use obcache_scores::select::{Budget, Protection, select};
///
/// let saliency = array![0.1, 0.9, 0.3, 0.0];
/// let kept = select(&saliency, Budget::Tokens(2), Protection { sinks: 0, recent: 1 }).unwrap();
/// assert_eq!(kept, [1, 3]);
/// ```
pub fn select(saliency: &Array1<f64>, budget: Budget, protection: Protection) -> Result<Vec<usize>, SelectionError> {
    if let Some(token) = saliency.iter().position(|s| s.is_nan()) {
        return Err(SelectionError::NotANumber(token));
    }
    let budget = budget.tokens(saliency.len())?;
    let selectable = protection.selectable(saliency.len());
    let protected = saliency.len() - selectable.len();
    let Some(open) = budget.checked_sub(protected) else {
        return Err(SelectionError::Protected { protected, budget });
    };
    let mut ranked: Vec<usize> = selectable.clone().collect();
    ranked.sort_by(|&a, &b| saliency[b].total_cmp(&saliency[a]).then(Reverse(a).cmp(&Reverse(b))));
    ranked.truncate(open);
    let mut kept: Vec<usize> = (0..selectable.start)
        .chain(ranked)
        .chain(selectable.end..saliency.len())
        .collect();
    kept.sort_unstable();
    Ok(kept)
}

/// The tokens of `kv_len` that are not in `kept`, ascending.
pub fn evicted(kv_len: usize, kept: &[usize]) -> Vec<usize> {
    (0..kv_len).filter(|token| !kept.contains(token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn protect(sinks: usize, recent: usize) -> Protection {
        Protection { sinks, recent }
    }

    #[test]
    fn the_best_are_kept_in_order() {
        let saliency = array![3.0, 1.0, 2.0, 5.0];
        assert_eq!(select(&saliency, Budget::Tokens(2), protect(0, 0)), Ok(vec![0, 3]));
        assert_eq!(
            select(&saliency, Budget::Fraction(0.75), protect(0, 0)),
            Ok(vec![0, 2, 3])
        );
        assert_eq!(
            select(&saliency, Budget::Tokens(9), protect(0, 0)),
            Ok(vec![0, 1, 2, 3])
        );
        assert_eq!(select(&saliency, Budget::Tokens(0), protect(0, 0)), Ok(vec![]));
    }

    #[test]
    fn protected_tokens_take_their_share_of_the_budget() {
        let saliency = array![0.0, 9.0, 8.0, 0.0, 0.0];
        assert_eq!(select(&saliency, Budget::Tokens(3), protect(1, 1)), Ok(vec![0, 1, 4]));
        assert_eq!(select(&saliency, Budget::Tokens(2), protect(1, 1)), Ok(vec![0, 4]));
        let refused = SelectionError::Protected {
            protected: 2,
            budget: 1,
        };
        assert_eq!(select(&saliency, Budget::Tokens(1), protect(1, 1)), Err(refused));
    }

    #[test]
    fn more_protection_than_tokens_keeps_all() {
        assert_eq!(
            select(&array![1.0, 2.0], Budget::Tokens(2), protect(5, 5)),
            Ok(vec![0, 1])
        );
        assert_eq!(protect(5, 1).selectable(3), 2..2);
        assert_eq!(protect(1, 1).selectable(4), 1..3);
    }

    #[test]
    fn of_equals_the_newer_is_kept() {
        assert_eq!(
            select(&array![1.0, 1.0, 1.0], Budget::Tokens(1), protect(0, 0)),
            Ok(vec![2])
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let nan = select(&array![0.0, f64::NAN], Budget::Tokens(1), protect(0, 0));
        assert_eq!(nan, Err(SelectionError::NotANumber(1)));
        for fraction in [-0.1, 1.1, f64::INFINITY] {
            let refused = select(&array![0.0], Budget::Fraction(fraction), protect(0, 0));
            assert_eq!(refused, Err(SelectionError::Fraction(fraction)));
        }
    }

    #[test]
    fn a_fraction_is_rounded_down() {
        assert_eq!(Budget::Fraction(0.5).tokens(5), Ok(2));
        assert_eq!(Budget::Fraction(1.0).tokens(5), Ok(5));
        assert_eq!(Budget::Fraction(0.0).tokens(5), Ok(0));
    }

    #[test]
    fn the_evicted_are_the_others() {
        assert_eq!(evicted(4, &[1, 2]), [0, 3]);
    }
}
