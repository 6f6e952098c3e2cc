//! What ranks the tokens of a KV head behind the output projection.

use std::fmt;

use super::Ranking;

/// A saliency of the query heads of one KV head, before they are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupScore {
    /// A ranking, query head by query head.
    Ranking(Ranking),
    /// The exact errors of the query heads, each behind its own part of W_O.
    PerHeadErrors,
}

impl fmt::Display for GroupScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranking(ranking) => ranking.fmt(f),
            Self::PerHeadErrors => f.write_str("per-head errors behind W_O"),
        }
    }
}
