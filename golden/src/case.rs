//! A case: a problem, and the true values of what it asks for.

use ndarray::{Array2, Array3, ArrayD};

use crate::{AttentionProblem, Dtype, OutputSpec};

/// One problem with its certified answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Unique name, `family/what.dtype`.
    pub id: String,
    /// The family it belongs to.
    pub family: String,
    /// What it is for, in a sentence.
    pub comment: String,
    /// Names of the bugs it catches; [`Suite::flags`](crate::Suite::flags) says what each is.
    pub flags: Vec<String>,
    /// Format of the inputs.
    pub dtype: Dtype,
    /// The problem, in the rounded numbers.
    pub problem: AttentionProblem,
    /// What is asked for, with the truth.
    pub outputs: Vec<Output>,
    /// The case whose answers must be equal to these, where there is one.
    pub twin: Option<Twin>,
}

/// One output of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// What it is.
    pub spec: OutputSpec,
    /// Its true value, each number the nearest f64; shape of [`OutputSpec::shape`].
    pub truth: ArrayD<f64>,
}

/// What makes two cases equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Twin {
    /// Identifier of the other case.
    pub case: String,
    /// How this case's tensors come from the other's.
    pub relation: TwinRelation,
    /// Names of the outputs that agree.
    pub equal_outputs: Vec<OutputSpec>,
}

/// How one case is made from another without changing its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TwinRelation {
    /// Token `j` here is token `order[j]` there, in key, value and mask: saliencies are permuted alike.
    Permutation(Vec<usize>),
    /// One vector was added to all keys of a head.
    KeyShift,
    /// One vector was added to all values of a head.
    ValueShift,
}

/// A cache under a budget along prefill and decoding, with its accumulated saliencies and kept positions.
///
/// Tokens and queries share positions: `problem` holds as many queries as tokens. The first `prefill` of them are
/// prefilled at once; the saliency is summed over the last `prefill_window` of their queries, and the cache is cut to
/// `heavy + recent` tokens. Each later token is appended and its query attends to what is cached (itself included) and
/// adds to the saliencies; the cache is cut again. A cut keeps the last `recent` tokens and of the others the `heavy`
/// most salient. No two saliencies at a cut are equal. With G query heads a KV head, each query head keeps its own.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeTrace {
    /// Unique name, `decode/what.dtype`.
    pub id: String,
    /// What it is for, in a sentence.
    pub comment: String,
    /// Names of the bugs it catches.
    pub flags: Vec<String>,
    /// Format of the inputs.
    pub dtype: Dtype,
    /// Queries, keys and values of all positions; causal.
    pub problem: AttentionProblem,
    /// How the cache is cut.
    pub policy: DecodePolicy,
    /// Accumulated saliency after the prefill, before the cut, shape (num_query_heads, prefill).
    pub prefill_saliency: Array2<f64>,
    /// Accumulated saliency at each step before the cut, by ascending position, shape (steps, num_query_heads, heavy +
    /// recent + 1).
    pub step_saliency: Array3<f64>,
    /// Positions kept after the prefill and after each step, ascending, shape (steps + 1, num_query_heads, heavy +
    /// recent).
    pub kept: Array3<usize>,
}

impl DecodeTrace {
    /// The family that all traces are.
    pub const FAMILY: &'static str = "decode";

    /// The names of what a trace asks for.
    pub const PARTS: [&'static str; 3] = ["prefill-saliency", "step-saliency", "kept"];

    /// The shape of each of [`DecodeTrace::PARTS`].
    pub fn shapes(&self) -> [&[usize]; 3] {
        [
            self.prefill_saliency.shape(),
            self.step_saliency.shape(),
            self.kept.shape(),
        ]
    }
}

/// How a decode trace scores and cuts its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodePolicy {
    /// What is accumulated.
    pub score: crate::OutputKind,
    /// Positions prefilled at once.
    pub prefill: usize,
    /// The last queries of the prefill that count.
    pub prefill_window: usize,
    /// Tokens kept for their saliency.
    pub heavy: usize,
    /// Tokens kept for being the newest.
    pub recent: usize,
}
