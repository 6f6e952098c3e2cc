//! What the two kinds of file have in common: headers that can be read without the numbers, and numbers by name.

use std::collections::BTreeMap;
use std::ops::Range;

use obd_core::LIMIT;

/// Elements that are decoded at a time.
pub(crate) const CHUNK: usize = 1 << 16;

/// What a file says about a tensor before any of its numbers is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub shape: Vec<usize>,
    /// Name of the dtype as the file's kind spells it.
    pub dtype: String,
}

impl Header {
    /// Whether 32 bits hold every element as it is stored.
    pub fn fits_f32(&self) -> bool {
        ["F16", "BF16", "F32", "f2", "f4"].contains(&self.dtype.as_str())
    }
}

/// Why a container or one of its tensors cannot be read.
pub(crate) enum ReadError {
    Io(std::io::Error),
    Damaged(String),
    Tensor { tensor: String, reason: String },
}

/// A file that holds tensors by name, opened and its table of contents checked.
pub(crate) trait Container: Send {
    /// The JSON text of the capture's metadata, where there is one.
    fn metadata(&mut self) -> Result<Option<String>, ReadError>;

    /// Headers of the tensors that `wanted` accepts; no number is read.
    fn headers(&mut self, wanted: fn(&str) -> bool) -> Result<BTreeMap<String, Header>, ReadError>;

    /// Passes the elements `range` of a tensor to `take`, in row-major order and widened to f64, at most [`CHUNK`] at a
    /// time.
    fn elements(&mut self, name: &str, range: Range<usize>, take: &mut dyn FnMut(&[f64])) -> Result<(), ReadError>;
}

/// The refusal of one tensor.
pub(crate) fn refused(tensor: &str, reason: impl Into<String>) -> ReadError {
    ReadError::Tensor {
        tensor: tensor.to_owned(),
        reason: reason.into(),
    }
}

/// Number of elements of a shape; `None` where it overflows.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |count, &length| count.checked_mul(length))
}

/// The elements `range` of the tensor `name`, each through `number`, all of them finite and small enough to square.
pub(crate) fn numbers<T>(
    container: &mut dyn Container,
    name: &str,
    shape: &[usize],
    range: Range<usize>,
    number: impl Fn(f64) -> T,
) -> Result<Vec<T>, ReadError> {
    let (mut read, mut complaint) = (Vec::new(), None);
    container.elements(name, range.clone(), &mut |elements| {
        if complaint.is_none() {
            complaint = unusable(shape, range.start + read.len(), elements);
        }
        read.extend(elements.iter().map(|&element| number(element)));
    })?;
    match complaint {
        Some(reason) => Err(refused(name, reason)),
        None => Ok(read),
    }
}

/// The first number that is not finite or beyond [`LIMIT`], in words with its place, if there is one; `numbers` are
/// elements of the tensor from the flat index `start` on.
fn unusable(shape: &[usize], start: usize, numbers: &[f64]) -> Option<String> {
    let usable = |number: &f64| number.abs() <= LIMIT;
    let place = numbers.iter().position(|number| !usable(number))?;
    let mut index = Vec::new();
    let mut rest = start + place;
    for &length in shape.iter().rev() {
        index.insert(0, rest % length);
        rest /= length;
    }
    let expected = if numbers[place].is_finite() {
        format!("at most {LIMIT:e} either way")
    } else {
        "a finite number".to_owned()
    };
    Some(format!(
        "element {index:?} is {:?}, expected {expected}",
        numbers[place]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_first_unusable_number_is_named() {
        let mut numbers = vec![0.0; 12];
        assert_eq!(unusable(&[2, 2, 3], 0, &numbers), None);
        numbers[10] = f64::NAN;
        assert_eq!(
            unusable(&[2, 2, 3], 0, &numbers).unwrap(),
            "element [1, 1, 1] is NaN, expected a finite number"
        );
        numbers[1] = -1e71;
        assert_eq!(
            unusable(&[2, 2, 3], 0, &numbers).unwrap(),
            "element [0, 0, 1] is -1e71, expected at most 1e70 either way"
        );
        assert_eq!(
            unusable(&[2, 2, 3], 4, &[0.0, f64::INFINITY]).unwrap(),
            "element [0, 1, 2] is inf, expected a finite number"
        );
    }

    #[test]
    fn a_count_that_overflows_is_none() {
        assert_eq!(count(&[2, 3]), Some(6));
        assert_eq!(count(&[]), Some(1));
        assert_eq!(count(&[1 << 60, 1 << 60]), None);
    }
}
