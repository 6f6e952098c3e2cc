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
    /// Score, or a selection of a set: `greedy` exact removal, `halving`, `exchange`, `gram`, `cholesky`,
    /// `addition`, and over at most 32 queries of heads of at most 384 tokens `beam`, which protects nothing.
    pub score: String,
    /// `none`, or `sinks-and-recent`: 4 sinks and, of the rest of the budget, the most recent half are kept whatever the score
    /// says.
    pub protection: String,
    /// Fraction of the tokens kept.
    pub budget: f64,
    /// Exact error of the evicted set, over the squared norm of the output.
    pub relative_error: f64,
    /// Error over that of the set the exact single-token oracle evicts without protection; empty where that is 0.
    pub over_oracle: Option<f64>,
    /// Error over that of the set greedy exact removal evicts without protection; empty where that is 0.
    pub over_greedy: Option<f64>,
}

/// The spectrum of one head's Gram matrix.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Spectrum {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
    /// Query window: `all` or `last-32`.
    pub window: String,
    /// Tokens, the most that the rank could be.
    pub tokens: usize,
    /// Effective rank: the exponential of the entropy of the eigenvalues' shares.
    pub effective_rank: f64,
    /// Sum of the diagonal over the sum of all magnitudes: what single-token saliencies see of it.
    pub diagonal_share: Option<f64>,
}

/// What moving the kept values to make up for an eviction buys on one head.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Compensated {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
    /// Query window that the update is fitted on.
    pub window: String,
    /// Queries that the errors sum over: `in-window`, those of the fit, or `future`.
    pub queries: String,
    /// Score that chose the set, or `greedy`.
    pub score: String,
    /// Protection under which it was chosen.
    pub protection: String,
    /// Fraction of the tokens kept.
    pub budget: f64,
    /// Error without the update, over the squared norm of the output.
    pub relative_error: f64,
    /// Error with the update over that without; above 1 the update does harm. Empty where there is no error.
    pub ratio: Option<f64>,
}

/// How a saliency of one KV head's group agrees with the true error behind the output projection (claim C17).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Projection {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// KV head of the layer.
    pub kv_head: usize,
    /// Query window of both sides.
    pub window: String,
    /// Score, or `per-head errors behind W_O`: the exact errors of the heads, each behind its part of W_O.
    pub score: String,
    /// How the query heads' saliencies became one: `sum`, `mean` or `max`.
    pub reduction: String,
    /// Tokens compared.
    pub tokens: usize,
    /// Spearman's rank correlation with the true error of the group behind W_O, cross-head terms included.
    pub spearman: Option<f64>,
    /// Overlap of the best 20 % of the tokens.
    pub overlap_20: Option<f64>,
    /// True error over the per-head errors, both summed over the tokens: 1 without cross-head terms.
    pub ratio: Option<f64>,
}

/// How the errors of single tokens add up on one head: the set that ranking them by their own exact error evicts, in-window
/// over all queries (claims C37, C38).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Interaction {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// Query head of the layer.
    pub head: usize,
    /// Fraction of the tokens kept.
    pub budget: f64,
    /// Error of the set over the least error known at this budget, by any set selection.
    pub over_best: Option<f64>,
    /// Error of the set over the sum of its tokens' errors: above 1 they add up to more, below 1 they cancel.
    pub over_sum: Option<f64>,
    /// Error of the set over its first-order error: what renormalising the weights adds.
    pub renormalisation: Option<f64>,
    /// What the tokens of greedy's eviction from 50 to 40 % kept add to the error one by one, over what they add together.
    pub submodularity: Option<f64>,
    /// Least cosine of `v_j - o_i` and `v_l - o_i` over the pairs that one of the last 32 queries sees.
    pub least_cosine_seen: Option<f64>,
    /// The same over the pairs of evicted tokens.
    pub least_cosine_evicted: Option<f64>,
    /// Share of these pairs whose cosine is below 0.
    pub opposed: Option<f64>,
}

/// What a score of the field costs one KV head on future queries.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FieldRegret {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model.
    pub layer: usize,
    /// KV head of the layer.
    pub kv_head: usize,
    /// Score, mean over the query heads where it looks at them, with its window.
    pub score: String,
    /// Fraction of the tokens kept, no token protected but by the score; empty where the score is absent.
    pub budget: Option<f64>,
    /// Exact error of the evicted set over the query heads, over the squared norm of their outputs.
    pub relative_error: Option<f64>,
    /// Error over that of the set that `removal, all` evicts; empty where that is 0.
    pub over_oracle: Option<f64>,
    /// What the capture lacks for this score, where it does.
    pub absent: Option<String>,
}

/// What sharing a budget among KV heads costs on future queries, in one layer or in the whole model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AllocationRegret {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model; empty for all layers together.
    pub layer: Option<usize>,
    /// How the budget is shared: `uniform`, `ada-kv`, `optimal in layer`, and over all layers also `pyramid-kv` and
    /// `optimal in model`.
    pub allocation: String,
    /// Score that chooses the tokens, over the last 32 queries seen, summed over the query heads of a KV head.
    pub score: String,
    /// Fraction of the tokens that a KV head keeps on average, none protected.
    pub budget: f64,
    /// Exact error of the evicted sets over the squared norm of the layer's output; of the model the mean over its layers.
    pub relative_error: f64,
    /// Error over that of the uniform allocation with the same score; empty where that is 0.
    pub over_uniform: Option<f64>,
}

/// One statistic over all heads.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// `spearman`, `kendall`, `log_pearson`, `overlap_05` to `overlap_50`, `effective_rank`, `projected_spearman`
    /// (arithmetic means), or `over_oracle`, `over_greedy`, `field_over_oracle`, `layer_over_uniform`, `model_over_uniform`, `relative_error`,
    /// `compensation`, `projected_ratio`, `over_best`, `over_sum`, `renormalisation` (geometric means), and `submodularity`, `opposed` (arithmetic ones).
    pub statistic: String,
    /// Query window of the score.
    pub window: String,
    /// `in-window` or `future`.
    pub queries: String,
    /// Score; behind W_O with its reduction, as in `value, sum`; with its allocation, as in `value, ada-kv`.
    pub score: String,
    /// Truth; `removal` for regret and compensation, `removal behind W_O` for the projection.
    pub truth: String,
    /// Protection, for regret and compensation.
    pub protection: Option<String>,
    /// Fraction kept, for regret and compensation.
    pub budget: Option<f64>,
    /// Mean over the heads.
    pub mean: f64,
    /// 2.5 % bootstrap quantile.
    pub low: f64,
    /// 97.5 % bootstrap quantile.
    pub high: f64,
    /// Heads that the mean is taken over; KV heads, layers or captures where the statistic is theirs.
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
