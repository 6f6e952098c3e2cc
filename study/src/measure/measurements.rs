//! Everything that is measured.

use super::gauge::{GaugeExample, KeyShift};
use super::means::Means;
use super::rows::{
    Agreement, Compensated, FieldRegret, Interaction, Projection, Regret, SharingRegret, Spectrum, TokenRow,
};

/// Everything the report is made of. The same captures and options give the same numbers, whatever the thread count.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurements {
    /// Per head.
    pub agreements: Vec<Agreement>,
    /// Per head, budget and protection.
    pub regrets: Vec<Regret>,
    /// Per head, budget and protection: with and without the Surgeon's update.
    pub compensated: Vec<Compensated>,
    /// Per head: the spectrum of the Gram matrix.
    pub spectra: Vec<Spectrum>,
    /// Per head: how the errors of single tokens add up.
    pub interactions: Vec<Interaction>,
    /// Per KV head behind the output projection; empty where no capture holds one.
    pub projections: Vec<Projection>,
    /// Per KV head, every score of the field on future queries.
    pub field: Vec<FieldRegret>,
    /// Per layer and per capture: every way to share a budget among KV heads on future queries.
    pub budgets: Vec<SharingRegret>,
    /// Means over the heads.
    pub means: Means,
    /// Per token, window `all`.
    pub tokens: Vec<TokenRow>,
    /// Sampled (weight, logit) pairs.
    pub phi_points: Vec<(f64, f64)>,
    /// Largest disagreement between closed form and brute force, over the size of the output.
    pub oracle_gap: f64,
    /// Rankings before and after one vector is added to all keys.
    pub gauge: Vec<KeyShift>,
    /// Heads whose split leaves a past to score and a future to judge.
    pub future_heads: usize,
    /// The head whose key score the shift reorders most, with that ranking before and after.
    pub gauge_example: Option<GaugeExample>,
}
