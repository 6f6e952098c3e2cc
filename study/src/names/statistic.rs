//! What is averaged over the heads.

use strum::{Display, EnumString, VariantArray};

/// A statistic of a head, of a KV head, of a layer or of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Statistic {
    /// Spearman's rank correlation with a truth.
    Spearman,
    /// Kendall's tau-b with a truth.
    Kendall,
    /// Pearson's correlation of the logarithms with a truth.
    LogPearson,
    /// Overlap of the best 5 % of the tokens with those of a truth.
    #[strum(serialize = "overlap_05")]
    Overlap05,
    /// Overlap of the best 10 %.
    #[strum(serialize = "overlap_10")]
    Overlap10,
    /// Overlap of the best 20 %.
    #[strum(serialize = "overlap_20")]
    Overlap20,
    /// Overlap of the best 50 %.
    #[strum(serialize = "overlap_50")]
    Overlap50,
    /// Error of an eviction over that of the exact single-token oracle without protection.
    OverOracle,
    /// Error of an eviction over that of greedy exact removal without protection.
    OverGreedy,
    /// Error of an eviction over the squared norm of the output: the one that can be compared across windows.
    RelativeError,
    /// Error with the Surgeon's update over that without.
    Compensation,
    /// Effective rank of the Gram matrix.
    EffectiveRank,
    /// Error of the single-token oracle's set over the least error known.
    OverBest,
    /// Error of the single-token oracle's set over the sum of its tokens' errors.
    OverSum,
    /// Error of the single-token oracle's set over its first-order error.
    Renormalisation,
    /// What tokens add to the error one by one, over what they add together.
    Submodularity,
    /// Share of the pairs of evicted tokens whose perturbations oppose each other.
    Opposed,
    /// Spearman's rank correlation with the true error behind the output projection.
    ProjectedSpearman,
    /// True error behind the output projection over the sum of the query heads' own.
    ProjectedRatio,
    /// Error of a KV head's eviction over that of the exact single-token oracle.
    FieldOverOracle,
    /// Error of a layer over that of the uniform budget with the same score.
    LayerOverUniform,
    /// Error of the model over that of the uniform budget with the same score.
    ModelOverUniform,
}

impl Statistic {
    /// Whether it is a ratio, whose mean is geometric.
    pub fn is_ratio(self) -> bool {
        match self {
            Self::OverOracle
            | Self::OverGreedy
            | Self::RelativeError
            | Self::Compensation
            | Self::OverBest
            | Self::OverSum
            | Self::Renormalisation
            | Self::ProjectedRatio
            | Self::FieldOverOracle
            | Self::LayerOverUniform
            | Self::ModelOverUniform => true,
            Self::Spearman
            | Self::Kendall
            | Self::LogPearson
            | Self::Overlap05
            | Self::Overlap10
            | Self::Overlap20
            | Self::Overlap50
            | Self::EffectiveRank
            | Self::Submodularity
            | Self::Opposed
            | Self::ProjectedSpearman => false,
        }
    }
}
