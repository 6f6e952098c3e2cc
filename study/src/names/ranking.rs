//! The rankings of single tokens that are compared: every score, and the heuristics built on the weight and on position.

use std::fmt;
use std::str::FromStr;

use obcache_scores::{Score, UnknownScore};

/// A number for every token; higher means keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ranking {
    /// A score, summed over the window.
    Score(Score),
    /// The summed weight, max-pooled over neighbours as SnapKV's code does.
    WeightMaxPool,
    /// The summed weight, averaged over neighbours.
    WeightAveragePool,
    /// Position alone: sinks and the most recent tokens.
    StreamingLlm,
}

impl Ranking {
    /// All rankings, in the order of the tables.
    pub fn all() -> impl Iterator<Item = Self> {
        let heuristics = [Self::WeightMaxPool, Self::WeightAveragePool, Self::StreamingLlm];
        Score::ALL.into_iter().map(Self::Score).chain(heuristics)
    }
}

impl From<Score> for Ranking {
    fn from(score: Score) -> Self {
        Self::Score(score)
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score(score) => score.fmt(f),
            Self::WeightMaxPool => f.write_str("weight-maxpool"),
            Self::WeightAveragePool => f.write_str("weight-avgpool"),
            Self::StreamingLlm => f.write_str("streaming-llm"),
        }
    }
}

impl FromStr for Ranking {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        let known = Self::all().find(|ranking| ranking.to_string() == name);
        known.ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for ranking in Ranking::all() {
            assert_eq!(ranking.to_string().parse(), Ok(ranking));
        }
        assert_eq!(Ranking::all().last().unwrap().to_string(), "streaming-llm");
        assert!("attention".parse::<Ranking>().is_err());
    }
}
