//! One share of a run that is split over processes or machines.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest number of shares.
const LARGEST: usize = 100_000;

/// Share `index` of `of`, counted from 1 and written `2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// The only share of an unsplit run.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Which of `count` tasks it takes: neighbours, and as many as any other share or one fewer.
    pub fn tasks(self, count: usize) -> Range<usize> {
        // No overflow: there are at most LARGEST shares, and no more tasks than a plan may have groups.
        let start = |index: usize| index * count / self.of;
        start(self.index - 1)..start(self.index)
    }

    /// All shares of the split that this one belongs to.
    pub fn siblings(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |index| Self { index, of: self.of })
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(index, of)| (index.parse(), of.parse()));
        match numbers {
            Some((Ok(index), Ok(of))) if (1..=of).contains(&index) && of <= LARGEST => Ok(Self { index, of }),
            _ => Err(format!(
                "expected I/N with I from 1 to N, such as 2/8, and N at most {LARGEST}"
            )),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_task_once_and_evenly() {
        for (count, of) in [(8, 3), (3, 3), (7, 1), (100, 7)] {
            let shard: Shard = format!("1/{of}").parse().unwrap();
            let shares: Vec<_> = shard.siblings().map(|shard| shard.tasks(count)).collect();
            assert_eq!(
                shares.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..count).collect::<Vec<_>>()
            );
            assert!(shares.iter().all(|share| share.len() - count / of <= 1), "{shares:?}");
        }
    }

    #[test]
    fn shares_are_counted_from_one() {
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        for refused in ["0/3", "4/3", "3", "1/0", "a/3", "1/3/5", "-1/3", "1/100001"] {
            assert!(refused.parse::<Shard>().is_err(), "{refused}");
        }
    }
}
