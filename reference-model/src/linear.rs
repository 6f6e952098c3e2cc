//! A linear map with or without a bias.

use ndarray::{Array1, Array2};

use crate::matrix::Matrix;
use crate::tensors::Tensors;
use crate::{ModelError, Number};

#[derive(Debug, Clone)]
pub(crate) struct Linear<T> {
    pub weight: Matrix<T>,
    pub bias: Option<Array1<T>>,
}

impl<T: Number> Linear<T> {
    /// The tensors `name.weight` of shape (outputs, inputs) and, where there is one, `name.bias`.
    pub fn load(tensors: &mut Tensors, name: &str, shape: (usize, usize), bias: bool) -> Result<Self, ModelError> {
        let weight = tensors.matrix(&format!("{name}.weight"), shape)?;
        let bias = bias
            .then(|| tensors.vector(&format!("{name}.bias"), shape.0))
            .transpose()?;
        Ok(Self { weight, bias })
    }

    /// Shape (tokens, inputs) to (tokens, outputs).
    pub fn apply(&self, activations: &Array2<T>) -> Array2<T> {
        let mut outputs = self.weight.product(activations.view());
        if let Some(bias) = &self.bias {
            outputs
                .rows_mut()
                .into_iter()
                .for_each(|mut row| row.zip_mut_with(bias, |x, &b| *x += b));
        }
        outputs
    }
}
