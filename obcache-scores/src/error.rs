//! Why a selection or a step of the tracker is refused.

use obd_core::SlotsError;
use thiserror::Error;

/// Why no selection can be made.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SelectionError {
    /// A budget given as a fraction lies outside [0, 1].
    #[error("budget is {0}, expected a fraction of the tokens from 0 to 1")]
    Fraction(f64),
    /// More tokens are protected than the budget keeps.
    #[error("{protected} tokens are protected, more than the budget of {budget}")]
    Protected {
        /// Protected tokens among those in the cache.
        protected: usize,
        /// Tokens that the budget keeps.
        budget: usize,
    },
    /// A saliency is NaN.
    #[error("saliency of token {0} is NaN, expected a number")]
    NotANumber(usize),
}

/// Why a tracker refuses what it was given.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PolicyError {
    /// A name that belongs to no published variant.
    #[error("there is no published variant named {0:?}")]
    UnknownVariant(String),
    /// A trace over another cache than the tracked one.
    #[error("the trace covers {found} tokens, expected {expected}: those tracked and one per new query")]
    TraceLength {
        /// Tokens in the trace.
        found: usize,
        /// Tokens expected.
        expected: usize,
    },
    /// Another number of query heads than those that are followed.
    #[error("{found} query heads, expected {expected}")]
    Heads {
        /// Heads given.
        found: usize,
        /// Heads expected.
        expected: usize,
    },
    /// A ranking of other tokens than those in the cache.
    #[error("the ranking covers {found} tokens, expected the {expected} that are cached")]
    RankingLength {
        /// Tokens in the ranking.
        found: usize,
        /// Tokens in the cache.
        expected: usize,
    },
    /// A policy without a score is asked to choose.
    #[error("the policy has no score to choose by, expected a ranking from outside")]
    Unscored,
    /// Slots to keep that are not ascending or not in the cache.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// The selection itself is refused.
    #[error(transparent)]
    Selection(#[from] SelectionError),
}
