//! When tokens are evicted.

use std::fmt;
use std::str::FromStr;

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
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Prefill, Self::Decode];

    /// The name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|when| when.name() == name);
        known.ok_or_else(|| "expected prefill or decode".to_owned())
    }
}
