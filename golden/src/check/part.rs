//! Which numbers of a case or of a decode trace are meant.

use std::fmt;

use crate::{DecodeTrace, OutputSpec};

/// One tensor of a case or of a decode trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// An output of a case.
    Output(OutputSpec),
    /// A trace's saliencies after the prefill.
    PrefillSaliency,
    /// A trace's saliencies at each step.
    StepSaliency,
    /// The positions that a trace's cache keeps.
    Kept,
}

impl Part {
    /// The names of its axes.
    pub fn axes(self) -> &'static [&'static str] {
        match self {
            Self::Output(spec) => spec.axes(),
            Self::PrefillSaliency => &["query_head", "token"],
            Self::StepSaliency => &["step", "query_head", "slot"],
            Self::Kept => &["cut", "query_head", "slot"],
        }
    }
}

impl fmt::Display for Part {
    /// The name of the tensor within its case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [prefill, step, kept] = DecodeTrace::PARTS;
        match self {
            Self::Output(spec) => write!(f, "{spec}"),
            Self::PrefillSaliency => f.write_str(prefill),
            Self::StepSaliency => f.write_str(step),
            Self::Kept => f.write_str(kept),
        }
    }
}
