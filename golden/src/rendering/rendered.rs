//! Attention as a kernel runs it, and every output from it.

use ndarray::{Array1, ArrayD, IxDyn};
use obd_core::AttentionTrace;

use super::attention;
use super::deviation::Deviation;
use super::kernel::Rendering;
use super::reduction::saliency;
use crate::{AttentionProblem, OutputKind, OutputSpec};

impl Rendering {
    /// Computes one output of `problem`, shape [`OutputSpec::shape`].
    ///
    /// A problem whose axes disagree gives what its smaller ones hold.
    pub fn render(self, problem: &AttentionProblem, spec: &OutputSpec) -> ArrayD<f64> {
        self.attend(problem).output(spec)
    }

    /// Runs attention once, for several outputs.
    pub fn attend(self, problem: &AttentionProblem) -> Rendered<'_> {
        Rendered {
            rendering: self,
            problem,
            heads: attention::heads(self, problem),
        }
    }
}

/// Attention as a kernel ran it.
pub struct Rendered<'a> {
    rendering: Rendering,
    problem: &'a AttentionProblem,
    heads: Vec<AttentionTrace>,
}

impl Rendered<'_> {
    /// The attention of every query head.
    pub fn heads(&self) -> &[AttentionTrace] {
        &self.heads
    }

    /// One output, shape [`OutputSpec::shape`].
    pub fn output(&self, spec: &OutputSpec) -> ArrayD<f64> {
        let shape = IxDyn(&spec.shape(self.problem));
        match spec.kind {
            OutputKind::Output => ArrayD::from_shape_fn(shape, |at| self.heads[at[0]].output[[at[1], at[2]]]),
            OutputKind::LogSumExp => {
                let heads: Vec<Array1<f64>> = self.heads.iter().map(|trace| self.log_sum_exp(trace)).collect();
                ArrayD::from_shape_fn(shape, |at| heads[at[0]][at[1]])
            }
            _ => saliency(self.rendering, self.problem, &self.heads, spec),
        }
    }

    fn log_sum_exp(&self, trace: &AttentionTrace) -> Array1<f64> {
        if self.rendering.does(Deviation::LogSumExpBase2) {
            return trace
                .log_sum_exp
                .mapv(|lse| self.rendering.round(lse * std::f64::consts::LOG2_E));
        }
        trace.log_sum_exp.clone()
    }
}
