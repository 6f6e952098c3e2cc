//! What can decide which token dies.

use ndarray::Array1;
use obcache_scores::{Score, streaming_llm};

/// A ranking of the cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// A score, summed over all queries so far, prefill included; what an evicted token once took is not undone.
    Score(Score),
    /// Position alone: sinks and the most recent tokens, StreamingLLM.
    Position,
}

/// Sinks of [`Ranking::Position`].
const SINKS: usize = 4;

impl Ranking {
    /// All that are simulated, in the order of figures and tables.
    pub const ALL: [Self; 7] = [
        Self::Score(Score::Weight),
        Self::Score(Score::Value),
        Self::Score(Score::Key),
        Self::Score(Score::Joint),
        Self::Score(Score::JointMean),
        Self::Score(Score::Removal),
        Self::Position,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Position => "streaming-llm",
        }
    }

    /// Saliency of the cached tokens, from their accumulated scores, oldest first.
    pub(super) fn saliency(self, accumulated: &[f64]) -> Array1<f64> {
        match self {
            Self::Score(_) => Array1::from(accumulated.to_vec()),
            Self::Position => streaming_llm(accumulated.len(), SINKS),
        }
    }
}
