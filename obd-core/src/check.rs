//! What every tensor is checked for: lengths of axes and finite elements.

use ndarray::Array2;

use crate::ProblemError;

/// Refuses row `row` of a tensor where an element is NaN or infinite; the first such element is named.
///
/// # Errors
/// [`ProblemError::NotFinite`].
pub fn check_finite(
    tensor: &'static str,
    row: usize,
    elements: impl IntoIterator<Item = f64>,
) -> Result<(), ProblemError> {
    let mut elements = elements.into_iter().enumerate();
    match elements.find(|(_, value)| !value.is_finite()) {
        Some((column, value)) => Err(ProblemError::NotFinite {
            tensor,
            row,
            column,
            value,
        }),
        None => Ok(()),
    }
}

/// Refuses the length `found` of an axis unless it is the `expected` one; `reason` says where the expectation comes from.
///
/// # Errors
/// [`ProblemError::Axis`].
pub fn check_axis(
    tensor: &'static str,
    axis: &'static str,
    found: usize,
    expected: usize,
    reason: &'static str,
) -> Result<(), ProblemError> {
    if found == expected {
        return Ok(());
    }
    Err(ProblemError::Axis {
        tensor,
        axis,
        found,
        expected,
        reason,
    })
}

/// Refuses a tensor that has an axis of length zero, or an element that is NaN or infinite.
pub(crate) fn check_tensor(
    tensor: &'static str,
    axes: [&'static str; 2],
    elements: &Array2<f64>,
) -> Result<(), ProblemError> {
    for (axis, &length) in axes.into_iter().zip(elements.shape()) {
        if length == 0 {
            return Err(ProblemError::Empty { tensor, axis });
        }
    }
    for (row, elements) in elements.rows().into_iter().enumerate() {
        check_finite(tensor, row, elements.iter().copied())?;
    }
    Ok(())
}
