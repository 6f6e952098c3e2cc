//! The scores that a search can doubt.

use std::fmt;
use std::str::FromStr;

use ndarray::Array1;
use obcache_scores::UnknownScore;
use obd_core::{Head, QueryWindow};

use super::field::{DEFINITIONS, FieldDefinition};
use crate::measure::contributions::Contributions;
use crate::names::Ranking;

/// A score that can be doubted: a ranking of the report, or a score of the field that a few tokens have.
#[derive(Clone, Copy)]
pub enum Doubted {
    /// A ranking of the report.
    Ranking(Ranking),
    /// A score of the field.
    Field(&'static FieldDefinition),
}

impl Doubted {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let field = DEFINITIONS.iter().map(Self::Field);
        Ranking::all().map(Self::Ranking).chain(field)
    }

    /// Saliency of every token, all queries in the window, shape (kv_len); `None` where the head is too small for it.
    pub(super) fn saliency(self, head: &Head) -> Option<Array1<f64>> {
        match self {
            Self::Ranking(ranking) => Some(Contributions::of(head).sums(QueryWindow::All).ranking(ranking)),
            Self::Field(definition) => definition.saliency(head),
        }
    }
}

impl fmt::Display for Doubted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranking(ranking) => ranking.fmt(f),
            Self::Field(definition) => f.write_str(definition.name),
        }
    }
}

impl FromStr for Doubted {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        let known = Self::all().find(|score| score.to_string() == name);
        known.ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_an_unknown_score_is_refused() {
        for score in Doubted::all() {
            assert_eq!(
                score.to_string().parse::<Doubted>().unwrap().to_string(),
                score.to_string()
            );
        }
        assert!("attention".parse::<Doubted>().is_err());
    }
}
