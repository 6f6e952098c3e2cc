//! Tensors by name from one safetensors file, each checked against the dtype and shape that the manifest says.

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;

use crate::{Dtype, SuiteError};

/// One open file.
pub(crate) struct Tensors<'a> {
    file: PathBuf,
    tensors: SafeTensors<'a>,
}

impl<'a> Tensors<'a> {
    pub fn new(file: &Path, bytes: &'a [u8]) -> Result<Self, SuiteError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| SuiteError::Damaged {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            file: file.to_owned(),
            tensors,
        })
    }

    /// Numbers stored in `dtype`, widened.
    pub fn inputs(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<ArrayD<f64>, SuiteError> {
        match dtype {
            Dtype::F32 => self.read(name, safetensors::Dtype::F32, shape, |word| {
                f64::from(f32::from_le_bytes(word))
            }),
            Dtype::F16 => self.read(name, safetensors::Dtype::F16, shape, |word| {
                f16::from_le_bytes(word).to_f64()
            }),
            Dtype::Bf16 => self.read(name, safetensors::Dtype::BF16, shape, |word| {
                bf16::from_le_bytes(word).to_f64()
            }),
        }
    }

    /// A truth, stored in f64.
    pub fn truth(&self, name: &str, shape: &[usize]) -> Result<ArrayD<f64>, SuiteError> {
        self.read(name, safetensors::Dtype::F64, shape, f64::from_le_bytes)
    }

    /// An explicit mask.
    pub fn mask(&self, name: &str, shape: &[usize]) -> Result<ArrayD<bool>, SuiteError> {
        self.read(name, safetensors::Dtype::BOOL, shape, |[byte]: [u8; 1]| byte != 0)
    }

    /// Positions, stored in int64.
    pub fn positions(&self, name: &str, shape: &[usize]) -> Result<ArrayD<usize>, SuiteError> {
        let positions = self.read(name, safetensors::Dtype::I64, shape, i64::from_le_bytes)?;
        if positions.iter().any(|&position| position < 0) {
            return Err(self.refused(name, "a position is negative".to_owned()));
        }
        Ok(positions.mapv(|position| position as usize))
    }

    fn read<T, const WIDTH: usize>(
        &self,
        name: &str,
        dtype: safetensors::Dtype,
        shape: &[usize],
        decode: impl Fn([u8; WIDTH]) -> T,
    ) -> Result<ArrayD<T>, SuiteError> {
        let view = self
            .tensors
            .tensor(name)
            .map_err(|error| self.refused(name, error.to_string()))?;
        if view.dtype() != dtype {
            return Err(self.refused(name, format!("dtype {:?}, expected {dtype:?}", view.dtype())));
        }
        if view.shape() != shape {
            return Err(self.refused(name, format!("shape {:?}, expected {shape:?}", view.shape())));
        }
        let (words, _) = view.data().as_chunks::<WIDTH>();
        let numbers = words.iter().map(|&word| decode(word)).collect();
        ArrayD::from_shape_vec(IxDyn(shape), numbers).map_err(|error| self.refused(name, error.to_string()))
    }

    fn refused(&self, tensor: &str, reason: String) -> SuiteError {
        SuiteError::Tensor {
            file: self.file.clone(),
            tensor: tensor.to_owned(),
            reason,
        }
    }
}
