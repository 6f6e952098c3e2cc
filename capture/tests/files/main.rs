//! What is read and what is refused, of safetensors and of npz.

mod damaged;
mod group;
mod npz;
mod whole;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use capture::{Capture, CaptureError};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const METADATA: &str = r#"{"version": 1, "model": "toy", "scale": 0.5, "causal": true, "num_query_heads": 2,
    "num_kv_heads": 1, "head_dim": 2, "value_dim": 1, "sinks": [0.5, 1.5], "sliding_window": 2, "softcap": 30.0}"#;

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A small capture of two query heads over three tokens; `change` may spoil a tensor: (name, dtype, shape, bytes).
fn bytes(change: Option<(&str, Dtype, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut tensors = vec![
        (
            "layer.3.query",
            Dtype::F32,
            vec![2, 2, 2],
            f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        ),
        ("layer.3.key", Dtype::F32, vec![1, 3, 2], f32s(&[0.5; 6])),
        ("layer.3.value", Dtype::F32, vec![1, 3, 1], f32s(&[1.0, 2.0, 3.0])),
    ];
    if let Some(change) = change {
        tensors.retain(|tensor| tensor.0 != change.0);
        if !change.2.is_empty() {
            tensors.push(change);
        }
    }
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()))
        .collect();
    let metadata = HashMap::from([("obcache_capture".to_owned(), METADATA.to_owned())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Capture, CaptureError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Capture::read(&path)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}
