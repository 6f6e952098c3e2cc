//! The rows of the report's tables; each is a line of a CSV file.

use schemars::JsonSchema;
use serde::Serialize;

use crate::agreement::Interval;

/// Which head of which capture.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HeadId {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
}

/// How one score agrees with one truth on one head.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Agreement {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
    /// Query window of the score: `all`, `last-32` or `last-1`.
    pub window: String,
    /// Queries that the truth sums over: `in-window`, those of the score, or `future`.
    pub queries: String,
    /// Score.
    pub score: String,
    /// Perturbation whose squared norm is the truth.
    pub truth: String,
    /// Tokens compared.
    pub tokens: usize,
    /// Spearman's rank correlation; empty where one side is constant.
    pub spearman: Option<f64>,
    /// Kendall's tau-b; empty where one side is constant.
    pub kendall: Option<f64>,
    /// Pearson's correlation of the logarithms, over the tokens where both are above 0.
    pub log_pearson: Option<f64>,
    /// Overlap of the best 5 % of the tokens.
    pub overlap_05: Option<f64>,
    /// Overlap of the best 10 % of the tokens.
    pub overlap_10: Option<f64>,
    /// Overlap of the best 20 % of the tokens.
    pub overlap_20: Option<f64>,
    /// Overlap of the best 50 % of the tokens.
    pub overlap_50: Option<f64>,
}

/// What a score's eviction costs on one head at one budget.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Regret {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
    /// Query window of the score: `all`, `last-32` or `last-1`.
    pub window: String,
    /// Queries that the error sums over: `in-window`, those of the score, or `future`.
    pub queries: String,
    /// Score, or `greedy` for greedy exact removal.
    pub score: String,
    /// Fraction of the tokens kept.
    pub budget: f64,
    /// Exact error of the evicted set, over the squared norm of the output.
    pub relative_error: f64,
    /// Error over that of the set the exact single-token oracle evicts; empty where that is 0.
    pub over_oracle: Option<f64>,
    /// Error over that of the set greedy exact removal evicts; empty where that is 0.
    pub over_greedy: Option<f64>,
}

/// One statistic over all heads.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// `spearman`, `kendall`, `log_pearson`, `overlap_05` to `overlap_50` (arithmetic means), or `over_oracle`,
    /// `over_greedy` (geometric means).
    pub statistic: String,
    /// Query window of the score.
    pub window: String,
    /// `in-window` or `future`.
    pub queries: String,
    /// Score.
    pub score: String,
    /// Truth; `removal` for regret.
    pub truth: String,
    /// Fraction kept, for regret.
    pub budget: Option<f64>,
    /// Mean over the heads.
    pub mean: f64,
    /// 2.5 % bootstrap quantile.
    pub low: f64,
    /// 97.5 % bootstrap quantile.
    pub high: f64,
    /// Heads that the mean is taken over.
    pub heads: usize,
}

/// One token of one head, window `all`: every score and every truth.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    /// Which head.
    pub id: HeadId,
    /// Position of the token, and the number of tokens.
    pub token: (usize, usize),
    /// Scores in the order of [`obcache_scores::Score::ALL`].
    pub scores: Vec<f64>,
    /// Truths in the order of [`obd_core::Perturbation::ALL`].
    pub truths: Vec<f64>,
    /// Least and greatest phi over the queries that see the token (claim C10).
    pub phi: [f64; 2],
}

/// What a shift of all keys by one vector does to a ranking (claim C14).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GaugeShift {
    /// Score, or `error of removal` for the truth.
    pub score: String,
    /// Spearman's correlation of the ranking before and after, over the heads.
    pub spearman: Interval,
}
