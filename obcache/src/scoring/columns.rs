//! What is written of every head: all scores, and the exact errors that are no score.

use ndarray::{Array1, Array2};
use obcache_scores::{Score, exact};
use obd_core::{AttentionTrace, Head, Perturbation};
use strip_engine::Saliencies;

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
        let is_a_score = |what: &Perturbation| matches!(what, Perturbation::Removal | Perturbation::ValueZeroing);
        let exact = Perturbation::ALL.into_iter().filter(move |what| !is_a_score(what));
        Score::ALL.into_iter().map(Self::Score).chain(exact.map(Self::Exact))
    }

    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Exact(perturbation) => perturbation.name(),
        }
    }

    /// Whether the strip engine yields it.
    pub(super) fn is_of_the_engine(self) -> bool {
        let column = match self {
            Self::Score(score) => strip_engine::Column::of_score(score),
            Self::Exact(perturbation) => strip_engine::Column::of_exact(perturbation),
        };
        column.is_some()
    }

    /// The sums that the engine has for it, shape (kv_len); `None` where it has none.
    pub(super) fn of<T>(self, saliencies: &Saliencies<T>) -> Option<&Array1<f64>> {
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
        let columns = Score::ALL.len() + Perturbation::ALL.len() - 2;
        assert_eq!((names[0], names.len()), ("value", columns));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), columns);
    }
}
