//! The arithmetic of the kernel that is judged, and what its roundings cost.

use crate::Precision;

/// κ: how many times its sensitivity an element may be off.
///
/// In the model of roundings an element of a good kernel is further off with probability `2 exp(-3 · 3.3² / 2) = 2e-7`
/// at most.
pub const CONFIDENCE: f64 = 3.3;

/// The arithmetic of the kernel that is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// The format that query, key and value are rounded to on entry; `None` where they are used as they are given.
    pub inputs: Option<Precision>,
    /// The format that sums, exponentials and products are kept in.
    pub accumulate: Precision,
    /// The format that the result is stored in.
    pub stored: Precision,
    /// Largest error of exp, log and tanh in units in the last place of `accumulate`.
    pub exp_ulps: f64,
}

impl From<Precision> for Arithmetic {
    /// [`Arithmetic::uniform`].
    fn from(precision: Precision) -> Self {
        Self::uniform(precision)
    }
}

impl Arithmetic {
    /// Everything in one format, inputs used as they are, functions within 1 ulp.
    pub fn uniform(precision: Precision) -> Self {
        Self {
            inputs: None,
            accumulate: precision,
            stored: precision,
            exp_ulps: 1.0,
        }
    }

    /// The same with exp, log and tanh that are off by up to so many units in the last place.
    pub fn with_exp_ulps(self, exp_ulps: f64) -> Self {
        Self { exp_ulps, ..self }
    }

    /// κ u of the accumulations.
    pub(super) fn unit(&self) -> f64 {
        CONFIDENCE * self.accumulate.unit_roundoff()
    }

    /// Sensitivity of an exponential, a logarithm or a hyperbolic tangent, relative to its result: an ulp is up to 2 u.
    pub(super) fn function(&self) -> f64 {
        2.0 * self.exp_ulps
    }

    /// Relative sensitivity of an input in units of the accumulation's roundoff.
    pub(super) fn entry(&self) -> f64 {
        match self.inputs {
            Some(precision) => precision.unit_roundoff() / self.accumulate.unit_roundoff(),
            // Used as they are given, inputs are exact.
            None => 0.0,
        }
    }

    /// What a sum of so many additions, of tolerated numbers, may cost by its own roundings.
    pub(crate) fn sum(&self, result: f64, additions: usize) -> f64 {
        self.unit() * (additions as f64).sqrt() * result.abs()
    }

    /// What storing a result of this size may cost.
    pub(super) fn storing(&self, result: f64) -> f64 {
        storing(self.stored, result)
    }
}

/// What storing a number in a format may cost: one rounding, or what lies below the smallest normal number.
pub(crate) fn storing(stored: Precision, number: f64) -> f64 {
    stored.unit_roundoff() * (number.abs() + stored.smallest_normal())
}
