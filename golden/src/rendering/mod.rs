//! What kernels compute, right or wrong: one readable rendering of attention and saliencies in any arithmetic, and the
//! mistakes that it can be told to make.
//!
//! A [`Rendering`] rounds after every operation, so an f32 kernel is rendered to the bit. It knows neither
//! `reference-attention` nor `obcache-scores`: the truth never comes from here. It serves three ends: its honest forms
//! show that the tolerances can be met, its [`Deviation`]s show that wrong kernels are caught, and results that fail
//! are compared with them to name the bug.

mod attention;
mod contribution;
mod decode;
mod deviation;
mod reduction;
mod visibility;

use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use obd_core::AttentionTrace;

use crate::{OutputKind, OutputSpec, Precision, Problem};

pub use decode::Decoded;
pub use deviation::Deviation;

/// How a kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rendering {
    /// The format of every operation.
    pub precision: Precision,
    /// The format that logits, weights and output are stored in between the steps; `None` where they are kept.
    pub between: Option<Precision>,
    /// Tokens per tile of an online softmax; `None` for two passes over the row.
    pub tile: Option<usize>,
    /// What it does wrong.
    pub deviation: Option<Deviation>,
}

impl Rendering {
    /// The formulas as they stand, rounded after every operation.
    pub fn plain(precision: Precision) -> Self {
        Self {
            precision,
            between: None,
            tile: None,
            deviation: None,
        }
    }

    /// The formula as a script of tensor operations runs it: each step in f32, or better, and stored in `precision`.
    pub fn naive(precision: Precision) -> Self {
        let wide = if precision == Precision::F64 {
            Precision::F64
        } else {
            Precision::F32
        };
        Self {
            between: Some(precision),
            ..Self::plain(wide)
        }
    }

    /// Online softmax over tiles of `tile` tokens.
    pub fn online(precision: Precision, tile: usize) -> Self {
        Self {
            tile: Some(tile),
            ..Self::plain(precision)
        }
    }

    /// The same with a mistake. Mistakes of accumulation and of the online softmax bring the arithmetic they need.
    pub fn with(self, deviation: Deviation) -> Self {
        let deviant = Self {
            deviation: Some(deviation),
            ..self
        };
        match deviation {
            Deviation::AccumulatedF16 => Self {
                precision: Precision::F16,
                ..deviant
            },
            Deviation::AccumulatedBf16 => Self {
                precision: Precision::Bf16,
                ..deviant
            },
            Deviation::RescaleOutputForgotten | Deviation::RescaleSumForgotten => Self {
                tile: Some(self.tile.unwrap_or(TILE)),
                ..deviant
            },
            _ => deviant,
        }
    }

    /// Computes one output of `problem`, shape [`OutputSpec::shape`].
    ///
    /// A problem whose axes disagree gives what its smaller ones hold.
    pub fn render(self, problem: &Problem, spec: &OutputSpec) -> ArrayD<f64> {
        self.attend(problem).output(spec)
    }

    /// Runs attention once, for several outputs.
    pub fn attend(self, problem: &Problem) -> Rendered<'_> {
        Rendered {
            rendering: self,
            problem,
            heads: attention::heads(self, problem),
        }
    }

    fn does(self, deviation: Deviation) -> bool {
        self.deviation == Some(deviation)
    }

    fn round(self, number: f64) -> f64 {
        self.precision.round(number)
    }

    /// A number as it is stored between two steps.
    fn store(self, number: f64) -> f64 {
        self.between.map_or(number, |precision| precision.round(number))
    }
}

/// Tokens in a tile of a kernel that pads, or drops, its last one.
const TILE: usize = 64;

/// Channels in a full vector of a kernel that reads no less.
const VECTOR: usize = 32;

/// Attention as a kernel ran it.
pub struct Rendered<'a> {
    rendering: Rendering,
    problem: &'a Problem,
    heads: Vec<AttentionTrace>,
}

impl Rendered<'_> {
    /// The attention of every query head.
    pub fn heads(&self) -> &[AttentionTrace] {
        &self.heads
    }

    /// One output, shape [`OutputSpec::shape`].
    pub fn output(&self, spec: &OutputSpec) -> ArrayD<f64> {
        match spec.kind {
            OutputKind::Output => self.stack(|trace| trace.output.clone().into_dyn()),
            OutputKind::LogSumExp => self.stack(|trace| self.log_sum_exp(trace).into_dyn()),
            _ => reduction::saliency(self, spec),
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

    fn stack(&self, part: impl Fn(&AttentionTrace) -> ArrayD<f64>) -> ArrayD<f64> {
        let parts: Vec<ArrayD<f64>> = self.heads.iter().map(part).collect();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        ndarray::stack(Axis(0), &views).unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[0])))
    }

    /// What each query of a head adds to each token, shape (query_len, kv_len).
    fn contributions(&self, head: usize, kind: OutputKind) -> Array2<f64> {
        contribution::contributions(self.rendering, self.problem, head, &self.heads[head], kind)
    }
}
