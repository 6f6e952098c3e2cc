//! The judgement of one tensor: every number against its tolerance, and the whole against the naive formula.

use ndarray::ArrayD;

use super::Values;
use super::part::Part;

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

/// Greatest error over twice that of the naive formula plus one rounding of the largest number as it is stored.
pub(super) fn pragmatic(truth: &ArrayD<f64>, values: &Values, naive: f64) -> f64 {
    let finite = truth.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let floor = values.stored.unit_roundoff() * largest + values.stored.smallest_normal();
    error_in_bounds(greatest_error(truth, &values.numbers), 0.0, 2.0 * naive + floor)
}

impl Judgement {
    /// Numbers of one shape held against the truth; the pragmatic rule is left at 0.
    pub(super) fn new(part: Part, truth: &ArrayD<f64>, numbers: &ArrayD<f64>, tolerance: &ArrayD<f64>) -> Self {
        let mut judgement = Self {
            output: part.to_string(),
            axes: part.axes(),
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

    /// The error of the worst number in units of its tolerance; 0 where there is no number.
    pub fn error(&self) -> f64 {
        self.worst.as_ref().map_or(0.0, |worst| worst.error)
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

/// The greatest error of any of `values`.
pub(super) fn greatest_error(truth: &ArrayD<f64>, values: &ArrayD<f64>) -> f64 {
    let errors = truth
        .iter()
        .zip(values)
        .map(|(&truth, &value)| error_in_bounds(value, truth, 1.0));
    errors.fold(0.0, f64::max)
}
