//! How far a good kernel may be from the truth: a forward error bound for every element, derived and not tuned.
//!
//! The whole derivation is `docs/derivations/error-bound.md` (claim C20); the names below are its names. In short: to
//! first order the error of any program is a linear form in its roundings, `Σ c_k δ_k` with `|δ_k| ≤ u`. The
//! *sensitivity* `[x] = (Σ c_k²)^½` of each result is bounded for every order of summation in terms of kv_len, head_dim,
//! value_dim, the number of queries, and the magnitudes of the problem at hand. Then
//!
//! ```text
//! tolerance = κ u [x]  +  terms of higher order in κ u  +  one rounding of the stored result  +  underflow
//! ```
//! Roundings that a program makes on different numbers are taken as independent of each other (the model of Higham and
//! Mary, 2019), those on equal numbers as equal; the chance that an element of a good kernel passes its bound is below
//! `2 exp(-3 κ² / 2)`.

mod average;
mod contribution;
mod row;
mod saliency;
mod ties;

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head};

use crate::Precision;
use row::Rows;

pub use saliency::saliency;

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
    fn unit(&self) -> f64 {
        CONFIDENCE * self.accumulate.unit_roundoff()
    }

    /// Sensitivity of an exponential, a logarithm or a hyperbolic tangent, relative to its result: an ulp is up to 2 u.
    fn function(&self) -> f64 {
        2.0 * self.exp_ulps
    }

    /// Relative sensitivity of an input in units of the accumulation's roundoff.
    fn entry(&self) -> f64 {
        let roundoff = |precision: Precision| precision.unit_roundoff();
        self.inputs.map_or(0.0, roundoff) / self.accumulate.unit_roundoff()
    }

    /// What a sum of so many additions, of tolerated numbers, may cost by its own roundings.
    pub(crate) fn sum(&self, result: f64, additions: usize) -> f64 {
        self.unit() * (additions as f64).sqrt() * result.abs()
    }

    /// What storing a result of this size may cost.
    fn storing(&self, result: f64) -> f64 {
        storing(self.stored, result)
    }
}

/// What storing a number in a format may cost: one rounding, or what lies below the smallest normal number.
pub(crate) fn storing(stored: Precision, number: f64) -> f64 {
    stored.unit_roundoff() * (number.abs() + stored.smallest_normal())
}

/// Tolerance of every element of the output, shape (query_len, value_dim).
///
/// `trace` is the trace of `head` in f64.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn output(head: &Head, trace: &AttentionTrace, arithmetic: &Arithmetic) -> Array2<f64> {
    let rows = Rows::new(head, trace, arithmetic);
    let mut tolerance = Array2::zeros(trace.output.dim());
    for (i, mut row) in tolerance.rows_mut().into_iter().enumerate() {
        let Some(softmax) = rows.row(i) else { continue };
        let average = softmax.average();
        for (c, element) in row.iter_mut().enumerate() {
            *element = average.tolerance(c) + arithmetic.storing(trace.output[[i, c]]);
        }
    }
    tolerance
}

/// Tolerance of every log-sum-exp, shape (query_len); 0 where it is minus infinity.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn log_sum_exp(head: &Head, trace: &AttentionTrace, arithmetic: &Arithmetic) -> Array1<f64> {
    let rows = Rows::new(head, trace, arithmetic);
    Array1::from_shape_fn(head.query_len(), |i| {
        let Some(row) = rows.row(i) else { return 0.0 };
        let first = arithmetic.unit() * row.log_sum_exp(&row.average()).sqrt();
        first + arithmetic.storing(trace.log_sum_exp[i])
    })
}
