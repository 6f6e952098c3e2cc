//! How the kept tokens are chosen.

use std::fmt;
use std::str::FromStr;

use obcache_scores::{Score, UnknownScore};

use super::{Ranking, SetSelection};

/// A ranking whose best tokens are kept, or a selection of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selection {
    /// The best tokens by a ranking.
    Ranking(Ranking),
    /// A set.
    Set(SetSelection),
}

impl From<Score> for Selection {
    fn from(score: Score) -> Self {
        Self::Ranking(score.into())
    }
}

impl From<Ranking> for Selection {
    fn from(ranking: Ranking) -> Self {
        Self::Ranking(ranking)
    }
}

impl From<SetSelection> for Selection {
    fn from(set: SetSelection) -> Self {
        Self::Set(set)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranking(ranking) => ranking.fmt(f),
            Self::Set(set) => set.fmt(f),
        }
    }
}

impl FromStr for Selection {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        let set = || name.parse().map(Self::Set).map_err(|_| UnknownScore(name.to_owned()));
        name.parse().map(Self::Ranking).or_else(|_| set())
    }
}
