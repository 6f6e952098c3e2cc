//! `manifest.json`: what the suite holds, in the words of `schema.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use schemars::JsonSchema;

use crate::{Dtype, Segments};

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Manifest {
    /// Always `obcache-golden`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^obcache-golden$")))]
    pub suite: String,
    /// Version of the suite: a major for a number that moved, a minor for new cases, a patch for words.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9]+\\.[0-9]+\\.[0-9]+$")))]
    pub version: String,
    /// What is certified about the numbers, and how.
    pub certified: String,
    /// What the tolerance of every output is derived from.
    pub tolerance: ToleranceEntry,
    /// The bug that each flag stands for.
    pub flags: BTreeMap<String, String>,
    /// Every tensor file.
    pub files: Vec<FileEntry>,
    /// Every case, ordered by file and identifier.
    pub cases: Vec<CaseEntry>,
    /// Every decode trace.
    pub decode_traces: Vec<DecodeEntry>,
}

/// What is common to the tolerances of all outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ToleranceEntry {
    /// The page that derives the bound, in the repository of the suite.
    pub derivation: String,
    /// The format that a good kernel accumulates in, whatever the dtype of its inputs.
    pub accumulate: String,
    /// Its unit roundoff u, half the distance from 1 to the next number.
    pub unit_roundoff: f64,
}

/// A tensor file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct FileEntry {
    /// Name in the folder of the manifest.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, in lower-case hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{64}$")))]
    pub sha256: String,
}

/// What a problem is made of beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ProblemEntry {
    /// Format of query, key, value and sink.
    pub dtype: Dtype,
    /// Number of query heads.
    pub num_query_heads: usize,
    /// Number of KV heads.
    pub num_kv_heads: usize,
    /// Queries per head.
    pub query_len: usize,
    /// Tokens per head.
    pub kv_len: usize,
    /// Channels of query and key.
    pub head_dim: usize,
    /// Channels of value.
    pub value_dim: usize,
    /// Factor on the dot product.
    pub scale: f64,
    /// Who sees whom.
    pub mask: MaskEntry,
    /// Bound of the soft-cap, or null.
    pub softcap: Option<f64>,
    /// Whether there is a tensor `input/sink`.
    pub sink: bool,
}

/// Who sees whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct MaskEntry {
    /// Causal order, bottom-right.
    pub causal: bool,
    /// Sliding window, or null.
    pub sliding_window: Option<usize>,
    /// Whether there is a tensor `input/mask`.
    pub explicit: bool,
    /// Packed sequences, or null.
    pub segments: Option<Segments>,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct CaseEntry {
    /// Unique name; its tensors are `id/input/query`, `key`, `value`, `sink`, `mask`, and `id/output/NAME` per output.
    pub id: String,
    /// Family.
    pub family: String,
    /// The tensor file.
    pub file: String,
    /// What it is for.
    pub comment: String,
    /// The bugs it catches.
    pub flags: Vec<String>,
    /// The problem.
    pub problem: ProblemEntry,
    /// The magnitudes that its tolerances depend on.
    pub conditioning: ConditioningEntry,
    /// What is asked for.
    pub outputs: Vec<OutputEntry>,
    /// The case that must agree, or null.
    pub twin: Option<TwinEntry>,
}

/// The magnitudes of a problem that its tolerances depend on, over all heads and visible pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ConditioningEntry {
    /// Largest |z|, z the scaled logit.
    pub largest_logit: f64,
    /// Largest scale · Σ |q_c k_c|: how large a logit would be without cancellation.
    pub largest_logit_terms: f64,
    /// Largest magnitude of a value's channel.
    pub largest_value: f64,
    /// Smallest 1 - a, summed from the other weights; 0 where a token is alone, or the others underflow.
    pub smallest_rest: f64,
}

/// An output of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct OutputEntry {
    /// The name, which says all: `joint.last-8.max-pool-7.group-mean`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What its tolerance depends on beside the magnitudes of the case.
    pub tolerance: OutputToleranceEntry,
}

/// Where the tolerance of an output is derived, and its sizes beside those of the problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct OutputToleranceEntry {
    /// Section of the page that derives the bound.
    pub section: u8,
    /// Queries that are summed: 1 for an output or a log-sum-exp.
    pub queries: usize,
    /// Query heads that are joined: 1 without a group reduction.
    pub heads: usize,
}

/// The twin of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct TwinEntry {
    /// Identifier of the other case.
    pub case: String,
    /// `permutation`, `key-shift` or `value-shift`.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^(permutation|key-shift|value-shift)$"))
    )]
    pub relation: String,
    /// For a permutation, the other case's token behind each of this one's.
    pub order: Option<Vec<usize>>,
    /// The outputs that agree.
    pub equal_outputs: Vec<String>,
}

/// A decode trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct DecodeEntry {
    /// Unique name; its tensors are `id/input/query`, `key`, `value`, and `id/output/prefill-saliency`, `step-saliency`,
    /// `kept`.
    pub id: String,
    /// The tensor file.
    pub file: String,
    /// What it is for.
    pub comment: String,
    /// The bugs it catches.
    pub flags: Vec<String>,
    /// The problem.
    pub problem: ProblemEntry,
    /// Name of the score.
    pub score: String,
    /// Positions prefilled at once.
    pub prefill: usize,
    /// The last queries of the prefill that count.
    pub prefill_window: usize,
    /// Tokens kept for their saliency.
    pub heavy: usize,
    /// Tokens kept for being the newest.
    pub recent: usize,
}
