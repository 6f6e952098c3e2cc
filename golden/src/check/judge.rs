//! One output of one case against the truth.

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::Values;
use super::tolerance::tolerance;
use crate::rendering::Rendering;
use crate::{Arithmetic, Case, Output, Precision, bound};

/// A case made ready to judge kernels of one arithmetic.
pub struct Judge<'a> {
    case: &'a Case,
    /// Per output of the case: the tolerance of every element before it is stored.
    tolerances: Vec<ArrayD<f64>>,
    /// Per output: the greatest error of the naive formula.
    naive: Vec<f64>,
}

/// What is to be said of one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Name of the output.
    pub output: String,
    /// Names of its axes.
    pub axes: &'static [&'static str],
    /// How many numbers it has.
    pub elements: usize,
    /// How many lie beyond their tolerance.
    pub failed: usize,
    /// The number that is furthest off in units of its tolerance.
    pub worst: Option<Worst>,
    /// Greatest error over what the pragmatic rule allows: at most 1 where the rule is met.
    pub pragmatic: f64,
}

/// One number of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    /// Its indices, along [`Judgement::axes`].
    pub index: Vec<usize>,
    /// What the kernel gave.
    pub got: f64,
    /// The truth.
    pub expected: f64,
    /// How far they may lie apart.
    pub tolerance: f64,
    /// How far they lie apart, in units of the tolerance; infinite for NaN and where no error is allowed.
    pub error: f64,
}

impl<'a> Judge<'a> {
    /// Makes ready `case` for kernels of this arithmetic: a [`Precision`] to accumulate in, or an [`Arithmetic`], whose
    /// `stored` is that of each result.
    ///
    /// # Errors
    /// [`ProblemError`] where the case is no attention problem; none that a suite hands out.
    pub fn new(case: &'a Case, arithmetic: impl Into<Arithmetic>) -> Result<Self, ProblemError> {
        let heads = case.problem.heads()?;
        let exact = Rendering::plain(Precision::F64).attend(&case.problem);
        let naive = Rendering::naive(case.dtype.into()).attend(&case.problem);
        let group_size = case.problem.group_size();
        let arithmetic = Arithmetic {
            stored: Precision::F64,
            ..arithmetic.into()
        };
        let tolerance = |output: &Output| tolerance(&heads, exact.heads(), group_size, output, &arithmetic);
        let naive = |output: &Output| greatest_error(&output.truth, &naive.output(&output.spec));
        Ok(Self {
            case,
            tolerances: case.outputs.iter().map(tolerance).collect(),
            naive: case.outputs.iter().map(naive).collect(),
        })
    }

    /// The case.
    pub fn case(&self) -> &'a Case {
        self.case
    }

    /// Tolerance of every element of an output of the case, where results are stored in `stored`; with all elements 0
    /// for an output that is none of the case's.
    pub fn tolerance(&self, output: &Output, stored: Precision) -> ArrayD<f64> {
        let Some(place) = self.place(output) else {
            return ArrayD::zeros(output.truth.raw_dim());
        };
        stored_tolerance(self.tolerances[place].clone(), &output.truth, stored)
    }

    fn place(&self, output: &Output) -> Option<usize> {
        self.case.outputs.iter().position(|other| other.spec == output.spec)
    }

    /// Greatest error of the naive formula for an output of the case.
    pub(super) fn naive(&self, output: &Output) -> f64 {
        self.place(output).map_or(0.0, |place| self.naive[place])
    }
}

/// The tolerance of numbers that are stored in `stored`; what must be exact stays so.
pub(super) fn stored_tolerance(mut tolerance: ArrayD<f64>, truth: &ArrayD<f64>, stored: Precision) -> ArrayD<f64> {
    tolerance.zip_mut_with(truth, |tolerance, &truth| {
        if truth.is_finite() && *tolerance > 0.0 {
            *tolerance += bound::storing(stored, truth);
        }
    });
    tolerance
}

/// Greatest error over twice that of the naive formula plus one rounding of the largest number as it is stored.
pub(super) fn pragmatic(truth: &ArrayD<f64>, values: &Values, naive: f64) -> f64 {
    let finite = truth.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let floor = values.stored.unit_roundoff() * largest + values.stored.smallest_normal();
    error_in_bounds(greatest_error(truth, &values.numbers), 0.0, 2.0 * naive + floor)
}

impl Judgement {
    /// Numbers of one shape held against the truth; the pragmatic rule is left at 0.
    pub(super) fn new(
        output: String,
        axes: &'static [&'static str],
        truth: &ArrayD<f64>,
        numbers: &ArrayD<f64>,
        tolerance: &ArrayD<f64>,
    ) -> Self {
        let mut judgement = Self {
            output,
            axes,
            elements: truth.len(),
            failed: 0,
            worst: None,
            pragmatic: 0.0,
        };
        let numbers = truth.indexed_iter().zip(numbers).zip(tolerance);
        for (((index, &expected), &got), &tolerance) in numbers {
            let error = error_in_bounds(got, expected, tolerance);
            judgement.failed += usize::from(error > 1.0);
            if judgement.worst.as_ref().is_none_or(|worst| error > worst.error) {
                judgement.worst = Some(Worst {
                    index: ndarray::Dimension::slice(&index).to_vec(),
                    got,
                    expected,
                    tolerance,
                    error,
                });
            }
        }
        judgement
    }

    /// Whether every number lies within its tolerance.
    pub fn passed(&self) -> bool {
        self.failed == 0
    }
}

/// How far `got` is off, in units of `tolerance`; infinite for NaN and where no error is allowed.
pub fn error_in_bounds(got: f64, expected: f64, tolerance: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    let error = (got - expected).abs() / tolerance;
    if error.is_nan() { f64::INFINITY } else { error }
}

pub(super) fn greatest_error(truth: &ArrayD<f64>, values: &ArrayD<f64>) -> f64 {
    let errors = truth
        .iter()
        .zip(values)
        .map(|(&truth, &value)| error_in_bounds(value, truth, 1.0));
    errors.fold(0.0, f64::max)
}
