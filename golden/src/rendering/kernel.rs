//! The kernel that is rendered: its arithmetic, its tiles, and its mistake.

use super::deviation::Deviation;
use crate::Precision;

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

    /// Whether it makes this mistake.
    pub(super) fn does(self, deviation: Deviation) -> bool {
        self.deviation == Some(deviation)
    }

    /// A number in the format of every operation.
    pub(super) fn round(self, number: f64) -> f64 {
        self.precision.round(number)
    }

    /// A number as it is stored between two steps.
    pub(super) fn store(self, number: f64) -> f64 {
        match self.between {
            Some(precision) => precision.round(number),
            None => number,
        }
    }
}

/// Tokens in a tile of a kernel that pads, or drops, its last one.
pub(super) const TILE: usize = 64;

/// Channels in a full vector of a kernel that reads no less.
pub(super) const VECTOR: usize = 32;
