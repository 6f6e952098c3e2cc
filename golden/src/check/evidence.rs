//! What a kernel gave, beside the truth: what a diagnosis looks at.

use std::borrow::Cow;

use ndarray::ArrayD;

use super::judgement::error_in_bounds;
use super::part::Part;
use crate::rendering::{Deviation, Rendering};
use crate::{Case, DecodeTrace, Dtype, Precision};

/// What a kernel gave for a case or a decode trace, ready to be compared.
pub struct Evidence<'a> {
    subject: Subject<'a>,
    failed: bool,
    outputs: Vec<Compared<'a>>,
}

/// What the numbers are of.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Case(&'a Case),
    Trace(&'a DecodeTrace),
}

/// Numbers with the truth, in one shape.
pub struct Compared<'a> {
    /// Which part it is.
    pub part: Part,
    /// What the numbers should be.
    pub truth: Cow<'a, ArrayD<f64>>,
    /// What they are.
    pub numbers: Cow<'a, ArrayD<f64>>,
    /// How far they may be off.
    pub tolerance: ArrayD<f64>,
}

impl<'a> Evidence<'a> {
    /// The parts of a case or a trace that could be judged.
    pub(super) fn new(subject: Subject<'a>, outputs: Vec<Compared<'a>>) -> Self {
        Self {
            subject,
            failed: outputs.iter().any(Compared::fails),
            outputs,
        }
    }

    /// Whether any number lies beyond its tolerance.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The parts that were judged.
    pub fn outputs(&self) -> &[Compared<'a>] {
        &self.outputs
    }

    pub(super) fn dtype(&self) -> Dtype {
        match self.subject {
            Subject::Case(case) => case.dtype,
            Subject::Trace(trace) => trace.dtype,
        }
    }

    /// Work that a rendering takes, in multiplications.
    pub(super) fn cost(&self) -> usize {
        match self.subject {
            Subject::Case(case) => cost(case),
            Subject::Trace(trace) => trace.problem.query.len() * trace.problem.key.len(),
        }
    }

    /// What each output would be with this mistake.
    pub(super) fn rendered(&self, deviation: Deviation) -> Vec<ArrayD<f64>> {
        let rendering = Rendering::plain(Precision::F32).with(deviation);
        let parts = self.outputs.iter().map(|compared| compared.part);
        match self.subject {
            Subject::Case(case) => {
                let rendered = rendering.attend(&case.problem);
                let output = |part| match part {
                    Part::Output(spec) => Some(rendered.output(&spec)),
                    _ => None,
                };
                parts.filter_map(output).collect()
            }
            Subject::Trace(trace) => {
                let decoded = rendering.decode(&trace.problem, &trace.policy);
                let output = |part| match part {
                    Part::Output(_) => None,
                    Part::PrefillSaliency => Some(decoded.prefill_saliency.clone().into_dyn()),
                    Part::StepSaliency => Some(decoded.step_saliency.clone().into_dyn()),
                    Part::Kept => Some(decoded.kept.mapv(|position| position as f64).into_dyn()),
                };
                parts.filter_map(output).collect()
            }
        }
    }
}

fn cost(case: &Case) -> usize {
    let problem = &case.problem;
    let pairs = problem.num_query_heads() * problem.query_len() * problem.kv_len();
    pairs * (problem.head_dim() + problem.value_dim() * case.outputs.len())
}

impl Compared<'_> {
    /// (got, expected, tolerance) of every number.
    pub fn numbers(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let numbers = self.numbers.iter().zip(self.truth.iter()).zip(&self.tolerance);
        numbers.map(|((&got, &expected), &tolerance)| (got, expected, tolerance))
    }

    /// Whether any number lies beyond its tolerance.
    pub fn fails(&self) -> bool {
        self.numbers()
            .any(|(got, expected, tolerance)| error_in_bounds(got, expected, tolerance) > 1.0)
    }
}
