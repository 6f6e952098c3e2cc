//! Captures in safetensors: the header is validated by the safetensors crate before any number is read.

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::tensor::{Contents, ReadError, Tensor};

/// Reads all tensors that a capture may use and its metadata.
pub(crate) fn read(bytes: &[u8], wanted: fn(&str) -> bool) -> Result<Contents, ReadError> {
    let damaged = |error: safetensors::SafeTensorError| ReadError::Damaged(error.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let metadata = header
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get("obcache_capture").cloned());
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut contents = Contents {
        metadata,
        tensors: Default::default(),
    };
    for (name, view) in file.iter().filter(|(name, _)| wanted(name)) {
        let numbers = numbers(&view).ok_or_else(|| ReadError::Tensor {
            tensor: name.to_owned(),
            reason: format!("dtype {:?}, expected F16, BF16, F32, F64 or I64", view.dtype()),
        })?;
        let tensor = Tensor {
            shape: view.shape().to_vec(),
            dtype: format!("{:?}", view.dtype()),
            numbers,
        };
        contents.tensors.insert(name.to_owned(), tensor);
    }
    Ok(contents)
}

/// The numbers of a tensor widened to f64; `None` for another dtype.
fn numbers(view: &TensorView) -> Option<Vec<f64>> {
    Some(match view.dtype() {
        Dtype::F16 => decode(view.data(), |bytes| f16::from_le_bytes(bytes).to_f64()),
        Dtype::BF16 => decode(view.data(), |bytes| bf16::from_le_bytes(bytes).to_f64()),
        Dtype::F32 => decode(view.data(), |bytes| f32::from_le_bytes(bytes) as f64),
        Dtype::F64 => decode(view.data(), f64::from_le_bytes),
        Dtype::I64 => decode(view.data(), |bytes| i64::from_le_bytes(bytes) as f64),
        _ => return None,
    })
}

fn decode<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> f64) -> Vec<f64> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    words.iter().map(|&word| number(word)).collect()
}
