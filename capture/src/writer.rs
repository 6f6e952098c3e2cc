//! Writes captures: tensors are rounded to their dtype as they come, the file is made of them in the end.

use std::str::FromStr;

use half::{bf16, f16};
use ndarray::{ArrayView, Dimension};
use safetensors::{Dtype, SafeTensorError};

use crate::Metadata;

/// What the numbers of a capture are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 16 bits with the exponent of 32.
    Bf16,
    /// 16 bits.
    F16,
    /// 32 bits.
    F32,
}

/// A capture that is being written.
#[derive(Debug)]
pub struct CaptureWriter {
    storage: Storage,
    tensors: Vec<Tensor>,
}

#[derive(Debug)]
struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl CaptureWriter {
    /// A capture without tensors, whose numbers will be stored in `storage`.
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            tensors: Vec::new(),
        }
    }

    /// Adds the tensor `layer.LAYER.PART`, each number rounded to nearest; the parts and their shapes are those of
    /// [`Layer`](crate::Layer): `query`, `key`, `value`, `o_proj`.
    pub fn add<D: Dimension>(&mut self, layer: usize, part: &str, numbers: ArrayView<f32, D>) {
        let (dtype, bytes) = match self.storage {
            Storage::Bf16 => (Dtype::BF16, encode(numbers.iter(), |x| bf16::from_f32(x).to_le_bytes())),
            Storage::F16 => (Dtype::F16, encode(numbers.iter(), |x| f16::from_f32(x).to_le_bytes())),
            Storage::F32 => (Dtype::F32, encode(numbers.iter(), f32::to_le_bytes)),
        };
        let (name, shape) = (format!("layer.{layer}.{part}"), numbers.shape().to_vec());
        self.tensors.push(Tensor {
            name,
            dtype,
            shape,
            bytes,
        });
    }

    /// The file: what was added, the token ids, and what the capture says about itself.
    ///
    /// # Errors
    /// A sentence where two tensors have one name.
    pub fn finish(mut self, metadata: &Metadata, tokens: &[i64]) -> Result<Vec<u8>, String> {
        let bytes = tokens.iter().flat_map(|id| id.to_le_bytes()).collect();
        let (name, shape) = ("tokens".to_owned(), vec![tokens.len()]);
        self.tensors.push(Tensor {
            name,
            dtype: Dtype::I64,
            shape,
            bytes,
        });
        let views = self.tensors.iter().map(|tensor| {
            let view = safetensors::tensor::TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?;
            Ok((tensor.name.as_str(), view))
        });
        let views: Vec<_> = views
            .collect::<Result<_, SafeTensorError>>()
            .map_err(|error| error.to_string())?;
        let json = serde_json::to_string(metadata).map_err(|error| error.to_string())?;
        let entries = [("obcache_capture".to_owned(), json)].into();
        safetensors::serialize(views, Some(entries)).map_err(|error| error.to_string())
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            _ => Err("expected bf16, f16 or f32".to_owned()),
        }
    }
}

fn encode<'a, const WIDTH: usize>(
    numbers: impl Iterator<Item = &'a f32>,
    bytes: impl Fn(f32) -> [u8; WIDTH],
) -> Vec<u8> {
    numbers.flat_map(|&number| bytes(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capture;
    use ndarray::{Array3, array};

    #[test]
    fn what_is_written_is_read_back() {
        let json = r#"{"version": 1, "model": "m", "scale": 0.5, "causal": true, "sliding_window": 2,
            "num_layers": 4, "num_query_heads": 2, "num_kv_heads": 1, "head_dim": 1, "value_dim": 1, "rope": "applied", "text": "t"}"#;
        let metadata = Metadata::parse(Some(json)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        assert_eq!(
            (metadata.num_layers, &metadata.rope),
            (Some(4), &Some("applied".into()))
        );
        // A third is no number of 8 or 11 bits; the others are.
        for (name, third) in [
            ("f32", f64::from(1f32 / 3.0)),
            ("f16", 0.33325195),
            ("bf16", 0.333984375),
        ] {
            let mut writer = CaptureWriter::new(name.parse().unwrap());
            writer.add(3, "query", Array3::<f32>::ones((2, 2, 1)).view());
            writer.add(3, "key", array![[[1f32 / 3.0], [2.0]]].view());
            writer.add(3, "value", array![[[1f32], [-0.5]]].view());
            writer.add(3, "o_proj", array![[1f32, 2.0]].view());
            std::fs::write(&path, writer.finish(&metadata, &[7, 8]).unwrap()).unwrap();
            let capture = Capture::read(&path).unwrap();
            assert_eq!((capture.metadata(), capture.tokens()), (&metadata, Some(&[7, 8][..])));
            let layer = &capture.layers()[0];
            assert_eq!((layer.index, &layer.value), (3, &array![[[1.0], [-0.5]]]));
            assert!((layer.key[[0, 0, 0]] - third).abs() < 1e-8, "{name}");
            assert_eq!(layer.o_proj, Some(array![[1.0, 2.0]]));
        }
        assert!("f64".parse::<Storage>().is_err());
    }
}
