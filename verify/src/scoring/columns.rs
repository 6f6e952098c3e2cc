//! What is written of every head: all scores, and the exact errors that are no score.

use ndarray::{Array1, Array2};
use obcache_scores::strip::Saliencies;
use obcache_scores::{Score, exact};
use obd_core::{AttentionTrace, Head, Perturbation};

/// One number a token: a score, or the exact error of a perturbation.
///
/// Exact removal is the score `removal`, and the exact error of value zeroing is the score `value` (claim C9): neither is
/// written twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// A score.
    Score(Score),
    /// The exact error of a perturbation.
    Exact(Perturbation),
}

impl Column {
    /// All columns in the order of the file.
    pub fn all() -> impl Iterator<Item = Self> {
        let exact = [Perturbation::KeyZeroing, Perturbation::JointZeroing];
        Score::ALL
            .into_iter()
            .map(Self::Score)
            .chain(exact.into_iter().map(Self::Exact))
    }

    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Exact(perturbation) => perturbation.name(),
        }
    }

    /// The sums that the engine has for it, shape (kv_len).
    pub(super) fn of<T>(self, saliencies: &Saliencies<T>) -> &Array1<f64> {
        match self {
            Self::Score(score) => saliencies.score(score),
            Self::Exact(perturbation) => saliencies.exact(perturbation),
        }
    }

    /// The contribution of every query to every token, shape (query_len, kv_len), from a trace.
    pub(super) fn contributions(self, head: &Head, trace: &AttentionTrace) -> Array2<f64> {
        match self {
            Self::Score(score) => score.contributions(head, trace),
            Self::Exact(perturbation) => exact::contributions(perturbation, head, trace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let mut names: Vec<_> = Column::all().map(Column::name).collect();
        assert_eq!((names[0], names.len()), ("value", 13));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 13);
    }
}
