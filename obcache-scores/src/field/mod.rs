//! The scores of the field, beside the closed forms of [`Score`](crate::Score): each one file, one formula, its source.
//!
//! | function | looks at | source |
//! |---|---|---|
//! | [`observed_attention`] | weights | kvpress, after H2O 2306.14048 |
//! | [`tova`] | weights of the last query, all heads of the layer | 2401.06104 |
//! | [`snapkv`] | weights of the last queries | 2404.14469 |
//! | [`max_weight`] | weights, the largest | KVzip 2505.23416 |
//! | [`non_causal_attention`] | queries, keys, value norms | Compactor 2507.08143 |
//! | [`ExpectedAttention`] | statistics of the queries, keys, value norms | kvpress |
//! | [`caote`], [`fast_caote`] | any base score, values | 2504.14051 |
//! | [`critical_kv`] | any base score, values behind W_O, the budget | 2502.03805 |
//! | [`r_kv`] | any base score, cosines of keys | 2505.24133 |
//! | [`knorm`] | key norms | 2406.11430 |
//! | [`key_diff`] | cosines of keys | 2504.15364 |
//! | [`LagKv`] | keys and values of the next partition | 2504.04704 |
//! | [`cur`] | key and value norms | CurDKV 2509.15038 |
//! | [`leverage`] | keys before rotation (feature `lapack`) | Compactor 2507.08143 |
//! | [`streaming_llm`] | positions alone | 2309.17453 |
//!
//! Three more are scores of [`Score`](crate::Score) under other names: H2O is `weight` over all queries, VATP (2406.12335) is
//! `value-p1`, DropKV is `removal` over the last queries.
//!
//! Each returns one saliency per token of a KV head, higher = keep, mean over the query heads of its group where it looks
//! at them; an infinite saliency marks a token that the method keeps whatever the budget. [`kvpress`] writes the
//! same scores as that library does, number for number.

mod caote;
mod critical_kv;
mod cur;
mod expected_attention;
mod key_diff;
mod knorm;
mod kv_group;
pub mod kvpress;
mod lag_kv;
#[cfg(feature = "lapack")]
mod leverage;
mod max_weight;
mod non_causal;
mod observed_attention;
mod r_kv;
mod rope;
mod snapkv;
mod streaming_llm;
mod tova;

pub use caote::{caote, fast_caote};
pub use critical_kv::{critical_kv, projected_one_norms};
pub use cur::{CurKind, cur};
pub use expected_attention::ExpectedAttention;
pub use key_diff::key_diff;
pub use knorm::knorm;
pub use kv_group::KvGroup;
pub use lag_kv::LagKv;
#[cfg(feature = "lapack")]
pub use leverage::{leverage, sketched_leverage};
pub use max_weight::max_weight;
pub use non_causal::{non_causal_attention, non_causal_attention_of_kvpress};
pub use observed_attention::observed_attention;
pub use r_kv::{r_kv, redundancy};
pub use rope::Rope;
pub use snapkv::snapkv;
pub use streaming_llm::streaming_llm;
pub use tova::tova;

use thiserror::Error;

/// What a score needs and was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Missing {
    /// The output projection is not known.
    #[error("needs the output projection W_O")]
    OutputProjection,
    /// The rotary encoding is not known.
    #[error("needs the rotary encoding (rope_theta)")]
    Rope,
    /// Queries stand before the first token.
    #[error("needs queries at the tokens' positions, but there are more queries than tokens")]
    Positions,
    /// There are not as many queries as tokens.
    #[error("needs one query per token")]
    OneQueryPerToken,
    /// No query is left to look at.
    #[error("needs queries after the sinks")]
    Queries,
    /// The score to build on is not one number per token, or not of the kind that is needed.
    #[error("needs a base score of one number per token, finite and at least 0 where it is normalised")]
    Base,
    /// There are too few tokens for the method's windows.
    #[error("needs more tokens: {found} given, at least {expected} expected")]
    Tokens {
        /// Tokens in the cache.
        found: usize,
        /// The least that the method works with.
        expected: usize,
    },
    /// An argument that the method does not allow.
    #[error("{argument} is {found}, expected {expected}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// Its value.
        found: usize,
        /// What is allowed.
        expected: &'static str,
    },
}
