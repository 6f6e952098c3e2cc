//! The row of a mean: what the number is about.

use std::fmt;

use obcache_scores::Score;
use obd_core::GroupReduction;

use super::{FieldScore, GroupScore, Selection, Sharing};

/// What a mean is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The heads themselves; no score has a part in the number.
    Heads,
    /// A selection of tokens.
    Selection(Selection),
    /// A score of the field.
    Field(FieldScore),
    /// A saliency of a KV head, and how those of its query heads became one.
    Group(GroupScore, GroupReduction),
    /// A score, and how its budget is shared.
    Shared(Score, Sharing),
}

impl<T: Into<Selection>> From<T> for Subject {
    fn from(selection: T) -> Self {
        Self::Selection(selection.into())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heads => Ok(()),
            Self::Selection(selection) => selection.fmt(f),
            Self::Field(score) => score.fmt(f),
            Self::Group(score, reduction) => write!(f, "{score}, {reduction}"),
            Self::Shared(score, sharing) => write!(f, "{score}, {sharing}"),
        }
    }
}
