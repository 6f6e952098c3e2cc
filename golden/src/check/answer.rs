//! What a kernel answers, whoever asked it: a test, a closure, or the reader of a results file.

use ndarray::ArrayD;

use super::Values;
use crate::{Case, DecodeTrace, Output, Suite};

/// What there is of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<T> {
    /// The numbers.
    Given(T),
    /// The kernel does not compute it, and nobody holds that against it.
    NotComputed,
    /// It was asked for and cannot be used, with the reason.
    Unusable(String),
}

impl<T> From<Option<T>> for Answer<T> {
    /// What a closure leaves out it does not compute.
    fn from(numbers: Option<T>) -> Self {
        numbers.map_or(Self::NotComputed, Self::Given)
    }
}

/// What a closure gives for a decode trace; `None` for what it does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodeValues {
    /// Saliencies after the prefill, before the cut, shape (num_query_heads, prefill).
    pub prefill_saliency: Option<Values>,
    /// Accumulated saliencies at each step before the cut, by ascending position, shape (steps, num_query_heads, heavy +
    /// recent + 1).
    pub step_saliency: Option<Values>,
    /// Positions kept after the prefill and after each step, ascending, shape (steps + 1, num_query_heads, heavy + recent).
    pub kept: Option<ArrayD<i64>>,
}

/// The answers for a decode trace, in the shapes of [`DecodeValues`].
#[derive(Debug, Clone, PartialEq)]
pub struct TraceAnswers {
    /// Saliencies after the prefill.
    pub prefill_saliency: Answer<Values>,
    /// Saliencies at each step.
    pub step_saliency: Answer<Values>,
    /// Positions kept.
    pub kept: Answer<ArrayD<i64>>,
}

impl From<DecodeValues> for TraceAnswers {
    fn from(values: DecodeValues) -> Self {
        Self {
            prefill_saliency: values.prefill_saliency.into(),
            step_saliency: values.step_saliency.into(),
            kept: values.kept.into(),
        }
    }
}

/// The answers of a kernel to everything that a suite asks for.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    pub(super) suite: &'a Suite,
    /// Of every case, one answer an output.
    pub(super) cases: Vec<Vec<Answer<Values>>>,
    /// Of every trace; `None` for one that the kernel does not follow.
    pub(super) traces: Vec<Option<TraceAnswers>>,
}

impl<'a> Given<'a> {
    /// Asks for every output of every case, then for every trace, in the order of the suite.
    pub fn ask(
        suite: &'a Suite,
        mut output: impl FnMut(&Case, &Output) -> Answer<Values>,
        trace: impl FnMut(&DecodeTrace) -> Option<TraceAnswers>,
    ) -> Self {
        let mut of_case = |case: &Case| case.outputs.iter().map(|asked| output(case, asked)).collect();
        Self {
            suite,
            cases: suite.cases.iter().map(&mut of_case).collect(),
            traces: suite.decode_traces.iter().map(trace).collect(),
        }
    }
}
