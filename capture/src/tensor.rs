//! A tensor as it stood in a file, widened to f64.

use std::collections::BTreeMap;

/// Numbers of a tensor in row-major order, with its shape and the dtype they were stored in.
pub(crate) struct Tensor {
    pub shape: Vec<usize>,
    pub dtype: String,
    pub numbers: Vec<f64>,
}

/// What a file holds: the metadata's JSON text, where there is one, and the tensors by name.
pub(crate) struct Contents {
    pub metadata: Option<String>,
    pub tensors: BTreeMap<String, Tensor>,
}

/// Why a container or one of its tensors cannot be read.
pub(crate) enum ReadError {
    Damaged(String),
    Tensor { tensor: String, reason: String },
}

impl Tensor {
    /// Why the tensor holds a number that is not finite, if it does.
    pub fn not_finite(&self) -> Option<String> {
        let flat = self.numbers.iter().position(|number| !number.is_finite())?;
        let mut index = Vec::new();
        let mut rest = flat;
        for &length in self.shape.iter().rev() {
            index.insert(0, rest % length);
            rest /= length;
        }
        Some(format!(
            "element {index:?} is {}, expected a finite number",
            self.numbers[flat]
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_first_number_that_is_not_finite_is_named() {
        let mut tensor = Tensor {
            shape: vec![2, 2, 3],
            dtype: "F64".to_owned(),
            numbers: vec![0.0; 12],
        };
        assert_eq!(tensor.not_finite(), None);
        tensor.numbers[10] = f64::NAN;
        assert_eq!(
            tensor.not_finite().unwrap(),
            "element [1, 1, 1] is NaN, expected a finite number"
        );
    }
}
