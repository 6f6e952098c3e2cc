//! The rankings that are compared: every score, and the heuristics built on the weight and on position.

use ndarray::{Array1, Array2};
use obcache_scores::{Pooling, Score, accumulate, exact, streaming_llm};
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow};

/// Sinks that StreamingLLM keeps, as its authors do.
const STREAMING_SINKS: usize = 4;

/// SnapKV's pooling kernel of 7 in the published code.
const SNAPKV_RADIUS: usize = 3;

/// Names of all rankings, in the order of the report.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = Score::ALL.map(|score| score.name().to_owned()).into();
    names.extend(["weight-maxpool", "weight-avgpool", "streaming-llm"].map(str::to_owned));
    names
}

/// Contributions of every score and every truth of one problem, each of shape (query_len, kv_len).
pub(crate) struct Contributions {
    scores: Vec<Array2<f64>>,
    truths: Vec<Array2<f64>>,
}

impl Contributions {
    pub fn new(head: &Head, trace: &AttentionTrace) -> Self {
        Self {
            scores: Score::ALL
                .iter()
                .map(|score| score.contributions(head, trace))
                .collect(),
            truths: Perturbation::ALL
                .iter()
                .map(|&what| exact::contributions(what, head, trace))
                .collect(),
        }
    }

    /// The rankings of [`names`] over a window, each of shape (kv_len).
    pub fn rankings(&self, window: QueryWindow) -> Vec<Array1<f64>> {
        let mut rankings: Vec<Array1<f64>> = self.scores.iter().map(|score| accumulate(score, window)).collect();
        let weight = accumulate(&self.scores[Score::ALL.len() - 1], window);
        rankings.push(Pooling::Max { radius: SNAPKV_RADIUS }.apply(&weight));
        rankings.push(Pooling::Average { radius: SNAPKV_RADIUS }.apply(&weight));
        rankings.push(streaming_llm(weight.len(), STREAMING_SINKS));
        rankings
    }

    /// The truths of [`Perturbation::ALL`] over a window, each of shape (kv_len).
    pub fn truths(&self, window: QueryWindow) -> Vec<Array1<f64>> {
        self.truths.iter().map(|truth| accumulate(truth, window)).collect()
    }
}
