//! One output of one case against the truth.

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::Values;
use super::tolerance::tolerance;
use crate::rendering::Rendering;
use crate::{Arithmetic, Case, Output, OutputSpec, Precision, bound};

/// A case made ready to judge kernels that accumulate in one format.
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
    /// The output.
    pub spec: OutputSpec,
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
    /// Its indices, along [`OutputSpec::axes`].
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
    /// Makes ready `case` for kernels that accumulate in `accumulate`.
    ///
    /// # Errors
    /// [`ProblemError`] where the case is no attention problem; none that a suite hands out.
    pub fn new(case: &'a Case, accumulate: Precision) -> Result<Self, ProblemError> {
        let heads = case.problem.heads()?;
        let exact = Rendering::plain(Precision::F64).attend(&case.problem);
        let naive = Rendering::naive(case.dtype.into()).attend(&case.problem);
        let group_size = case.problem.group_size();
        let arithmetic = Arithmetic {
            stored: Precision::F64,
            ..Arithmetic::uniform(accumulate)
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
        let mut tolerance = self.tolerances[place].clone();
        tolerance.zip_mut_with(&output.truth, |tolerance, &truth| {
            if truth.is_finite() && *tolerance > 0.0 {
                *tolerance += bound::storing(stored, truth);
            }
        });
        tolerance
    }

    fn place(&self, output: &Output) -> Option<usize> {
        self.case.outputs.iter().position(|other| other.spec == output.spec)
    }

    /// Judges the values of one output, which have its shape.
    pub fn judge(&self, output: &Output, values: &Values) -> Judgement {
        let tolerance = self.tolerance(output, values.stored);
        let mut failed = 0;
        let mut worst: Option<Worst> = None;
        let numbers = output.truth.indexed_iter().zip(&values.numbers).zip(&tolerance);
        for (((index, &expected), &got), &tolerance) in numbers {
            let error = error_in_bounds(got, expected, tolerance);
            failed += usize::from(error > 1.0);
            if worst.as_ref().is_none_or(|worst| error > worst.error) {
                worst = Some(Worst {
                    index: ndarray::Dimension::slice(&index).to_vec(),
                    got,
                    expected,
                    tolerance,
                    error,
                });
            }
        }
        Judgement {
            spec: output.spec,
            elements: output.truth.len(),
            failed,
            worst,
            pragmatic: self.pragmatic(output, values),
        }
    }

    /// Greatest error over twice that of the naive formula plus one rounding of the largest number as it is stored.
    fn pragmatic(&self, output: &Output, values: &Values) -> f64 {
        let naive = self.place(output).map_or(0.0, |place| self.naive[place]);
        let largest = output
            .truth
            .iter()
            .filter(|x| x.is_finite())
            .fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let floor = values.stored.unit_roundoff() * largest + values.stored.smallest_normal();
        let allowed = 2.0 * naive + floor;
        error_in_bounds(greatest_error(&output.truth, &values.numbers), 0.0, allowed)
    }
}

impl Judgement {
    /// Whether every number lies within its tolerance.
    pub fn passed(&self) -> bool {
        self.failed == 0
    }
}

/// How far `got` is off, in units of `tolerance`.
pub(super) fn error_in_bounds(got: f64, expected: f64, tolerance: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    let error = (got - expected).abs() / tolerance;
    if error.is_nan() { f64::INFINITY } else { error }
}

fn greatest_error(truth: &ArrayD<f64>, values: &ArrayD<f64>) -> f64 {
    let errors = truth
        .iter()
        .zip(values)
        .map(|(&truth, &value)| error_in_bounds(value, truth, 1.0));
    errors.fold(0.0, f64::max)
}
