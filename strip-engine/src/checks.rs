//! What problems and decode steps refuse alike.

use ndarray::{ArrayView, Dimension};
use obd_core::{ProblemError, check_finite};

use crate::element::Element;

pub(crate) fn parameter(parameter: &'static str, value: f64, expected: &'static str) -> ProblemError {
    ProblemError::Parameter {
        parameter,
        value,
        expected,
    }
}

pub(crate) fn check_scale(scale: f64) -> Result<f64, ProblemError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(scale);
    }
    Err(parameter("scale", scale, "a finite number above 0"))
}

pub(crate) fn check_sinks(sinks: &[f64]) -> Result<Vec<f64>, ProblemError> {
    match sinks.iter().find(|sink| !sink.is_finite()) {
        Some(&sink) => Err(parameter("sink", sink, "a finite number")),
        None => Ok(sinks.to_vec()),
    }
}

pub(crate) fn check_tensor<T: Element, D: Dimension>(
    tensor: &'static str,
    axes: &[&'static str],
    elements: &ArrayView<T, D>,
) -> Result<(), ProblemError> {
    for (axis, &length) in axes.iter().zip(elements.shape()) {
        if length == 0 {
            return Err(ProblemError::Empty { tensor, axis });
        }
    }
    for (row, channels) in elements.rows().into_iter().enumerate() {
        check_finite(tensor, row, channels.iter().map(|element| element.to_f64()))?;
    }
    Ok(())
}
