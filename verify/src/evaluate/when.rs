//! When tokens are evicted.

use serde::{Deserialize, Serialize};

/// When tokens are evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Once, after the prefill; what is decoded then stays.
    Prefill,
    /// After the prefill and after every decoded token, so that the cache never outgrows the budget.
    Decode,
}

impl When {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}
