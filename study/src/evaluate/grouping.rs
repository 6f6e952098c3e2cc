//! Which query heads share a set of cached tokens.

use std::fmt;
use std::str::FromStr;

use obd_core::GroupReduction;
use serde::{Deserialize, Serialize};

/// Which query heads share a set of cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// Each query head has tokens of its own, as in the published code.
    QueryHead,
    /// The query heads of a KV head share its tokens, their saliencies summed (the mean ranks alike).
    KvSum,
    /// As `KvSum`, by the largest of their saliencies.
    KvMax,
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueryHead, Self::KvSum, Self::KvMax];

    /// The name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueryHead => "query-head",
            Self::KvSum => "kv-sum",
            Self::KvMax => "kv-max",
        }
    }

    /// How the saliencies of those that share become one.
    pub fn reduction(self) -> GroupReduction {
        match self {
            Self::QueryHead | Self::KvSum => GroupReduction::Sum,
            Self::KvMax => GroupReduction::Max,
        }
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|grouping| grouping.name() == name);
        known.ok_or_else(|| "expected query-head, kv-sum or kv-max".to_owned())
    }
}
