//! The numbers that a token has.

use std::fmt;

use obcache_scores::Score;
use obd_core::Perturbation;

/// A number that a token has over a query window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// A score.
    Score(Score),
    /// The exact error of a perturbation.
    Error(Perturbation),
}

impl Quantity {
    /// Every score, then every error.
    pub fn all() -> impl Iterator<Item = Self> {
        let errors = Perturbation::ALL.into_iter().map(Self::Error);
        Score::ALL.into_iter().map(Self::Score).chain(errors)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score(score) => score.fmt(f),
            Self::Error(what) => write!(f, "error of {what}"),
        }
    }
}
