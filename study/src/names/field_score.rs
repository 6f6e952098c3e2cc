//! The scores of the field, each with the queries that it looks at.

use std::fmt;

use obcache_scores::Score;
use obd_core::QueryWindow;

/// A score of the field as it is measured on a KV head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldScore {
    /// A score summed over a window, mean over the query heads.
    Summed(Score, QueryWindow),
    /// H2O's weights, over the number of queries that see the token.
    ObservedAttention,
    /// TOVA over the whole layer.
    TovaOfLayer,
    /// SnapKV's votes, averaged over neighbours.
    SnapKvAveragePool,
    /// SnapKV's votes, max-pooled over neighbours.
    SnapKvMaxPool,
    /// The largest weight of a window.
    MaxWeight(QueryWindow),
    /// Weights of all queries on all tokens.
    NonCausal,
    /// The same as kvpress computes it.
    NonCausalOfKvpress,
    /// The weight expected of future queries.
    ExpectedAttention,
    /// The same without the covariance of the queries.
    ExpectedAttentionOfMean,
    /// CAOTE over the weight of a window.
    Caote(QueryWindow),
    /// FastCAOTE over the weight of a window.
    FastCaote(QueryWindow),
    /// R-KV over SnapKV's votes.
    RKvOverSnapKv,
    /// The length of the key.
    KNorm,
    /// The key's distance from the mean direction.
    KeyDiff,
    /// LagKV.
    LagKv,
    /// CUR.
    Cur,
    /// Leverage of the key.
    Leverage,
    /// Position alone.
    StreamingLlm,
    /// CriticalKV over SnapKV's votes.
    CriticalKvOverSnapKv,
    /// CriticalKV over the weight of a window.
    CriticalKvOverWeight(QueryWindow),
}

impl fmt::Display for FieldScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Summed(score, window) => write!(f, "{score}, {window}"),
            Self::ObservedAttention => f.write_str("observed-attention"),
            Self::TovaOfLayer => f.write_str("tova, whole layer"),
            Self::SnapKvAveragePool => f.write_str("snapkv, average pool"),
            Self::SnapKvMaxPool => f.write_str("snapkv, max pool"),
            Self::MaxWeight(window) => write!(f, "max-weight, {window}"),
            Self::NonCausal => f.write_str("non-causal"),
            Self::NonCausalOfKvpress => f.write_str("non-causal, kvpress"),
            Self::ExpectedAttention => f.write_str("expected-attention"),
            Self::ExpectedAttentionOfMean => f.write_str("expected-attention, mean only"),
            Self::Caote(window) => write!(f, "caote over weight, {window}"),
            Self::FastCaote(window) => write!(f, "fast-caote over weight, {window}"),
            Self::RKvOverSnapKv => f.write_str("r-kv over snapkv"),
            Self::KNorm => f.write_str("knorm"),
            Self::KeyDiff => f.write_str("key-diff"),
            Self::LagKv => f.write_str("lag-kv"),
            Self::Cur => f.write_str("cur"),
            Self::Leverage => f.write_str("leverage"),
            Self::StreamingLlm => f.write_str("streaming-llm"),
            Self::CriticalKvOverSnapKv => f.write_str("critical-kv over snapkv"),
            Self::CriticalKvOverWeight(window) => write!(f, "critical-kv over weight, {window}"),
        }
    }
}
