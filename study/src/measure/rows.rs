//! The rows of the report's tables; each is a line of a CSV file.

use std::fmt::Display;

use obcache_scores::Score;
use obd_core::GroupReduction;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::agreement::Interval;
use crate::names::{
    Column, FieldScore, GroupScore, Kept, Protected, Quantity, Queries, Ranking, Selection, Sharing, Statistic,
    Subject, Truth, Window,
};

/// Writes a type of another crate as its name.
fn as_name<S: Serializer>(name: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

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
    pub window: Window,
    /// Queries that the truth sums over: `in-window`, those of the score, or `future`.
    pub queries: Queries,
    /// Score.
    pub score: Ranking,
    /// Perturbation whose squared norm is the truth.
    pub truth: Truth,
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
    pub window: Window,
    /// Queries that the error sums over: `in-window`, those of the score, or `future`.
    pub queries: Queries,
    /// Score, or a selection of a set: `greedy` exact removal, `halving`, `exchange`, `gram`, `cholesky`,
    /// `addition`, and over at most 32 queries of heads of at most 384 tokens `beam`, which protects nothing.
    pub score: Selection,
    /// `none`, or `sinks-and-recent`: 4 sinks and, of the rest of the budget, the most recent half are kept whatever the score
    /// says.
    pub protection: Protected,
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
    pub window: Window,
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
    pub window: Window,
    /// Queries that the errors sum over: `in-window`, those of the fit, or `future`.
    pub queries: Queries,
    /// Score that chose the set, or `greedy`.
    pub score: Selection,
    /// Protection under which it was chosen.
    pub protection: Protected,
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
    pub window: Window,
    /// Score, or `per-head errors behind W_O`: the exact errors of the heads, each behind its part of W_O.
    pub score: GroupScore,
    /// How the query heads' saliencies became one: `sum`, `mean` or `max`.
    #[serde(serialize_with = "as_name")]
    #[schemars(with = "String")]
    pub reduction: GroupReduction,
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
    pub score: FieldScore,
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
#[schemars(rename = "AllocationRegret")]
pub struct SharingRegret {
    /// Name of the capture.
    pub capture: String,
    /// Layer of the model; empty for all layers together.
    pub layer: Option<usize>,
    /// How the budget is shared: `uniform`, `ada-kv`, `optimal in layer`, and over all layers also `pyramid-kv` and
    /// `optimal in model`.
    #[serde(rename = "allocation")]
    pub sharing: Sharing,
    /// Score that chooses the tokens, over the last 32 queries seen, summed over the query heads of a KV head.
    #[serde(serialize_with = "as_name")]
    #[schemars(with = "String")]
    pub score: Score,
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
    pub statistic: Statistic,
    /// Query window of the score.
    pub window: Window,
    /// `in-window` or `future`.
    pub queries: Queries,
    /// Score; behind W_O with its reduction, as in `value, sum`; with its allocation, as in `value, ada-kv`.
    pub score: Subject,
    /// Truth; `removal` for regret and compensation, `removal behind W_O` for the projection.
    pub truth: Truth,
    /// Protection, for regret and compensation.
    pub protection: Option<Protected>,
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

impl Summary {
    /// What it is a mean of, whatever the score.
    pub fn column(&self) -> Column {
        Column {
            statistic: self.statistic,
            window: self.window,
            queries: self.queries,
            truth: self.truth,
            selection: self.protection.zip(self.budget.map(Kept::new)),
        }
    }
}

/// One token of one head, window `all`: every score and every truth.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    /// Which head.
    pub id: HeadId,
    /// Position of the token, and the number of tokens.
    pub token: (usize, usize),
    /// Its numbers in the order of [`Quantity::all`].
    pub numbers: Vec<f64>,
    /// Least and greatest phi over the queries that see the token (claim C10).
    pub phi: [f64; 2],
}

impl TokenRow {
    /// One of its numbers.
    pub fn number(&self, quantity: Quantity) -> f64 {
        let mut numbers = Quantity::all().zip(&self.numbers);
        let found = numbers.find(|(other, _)| *other == quantity);
        *found.expect("a token has every quantity").1
    }
}

/// What a shift of all keys by one vector does to a ranking (claim C14).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GaugeShift {
    /// Score, or `error of removal` for the truth.
    pub score: Quantity,
    /// Spearman's correlation of the ranking before and after, over the heads.
    pub spearman: Interval,
}
