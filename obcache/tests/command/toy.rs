//! A capture small enough to measure in a test, whole or spoilt, and the command run on it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use assert_cmd::Command;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

/// Metadata of the toy: 2 query heads on 1 KV head.
pub const METADATA: &str = r#"{"version": 1, "model": "toy", "scale": 0.5, "causal": true, "num_query_heads": 2,
    "num_kv_heads": 1, "head_dim": 2, "value_dim": 2}"#;

/// Tokens of the toy.
pub const TOKENS: usize = 48;

/// Name, dtype, shape and bytes.
pub type Tensor = (&'static str, Dtype, Vec<usize>, Vec<u8>);

/// The command.
pub fn obcache() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("obcache"))
}

/// What a run that must succeed prints.
pub fn stdout(command: &mut Command) -> String {
    let run = command.assert().success();
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

/// Little-endian f32.
pub fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Query, key and value of layer 0.
pub fn tensors() -> Vec<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(0x707);
    let mut numbers = |count: usize| f32s(&(0..count).map(|_| random.random_range(-2.0..2.0)).collect::<Vec<f32>>());
    vec![
        ("layer.0.query", Dtype::F32, vec![2, TOKENS, 2], numbers(4 * TOKENS)),
        ("layer.0.key", Dtype::F32, vec![1, TOKENS, 2], numbers(2 * TOKENS)),
        ("layer.0.value", Dtype::F32, vec![1, TOKENS, 2], numbers(2 * TOKENS)),
    ]
}

/// A safetensors file.
pub fn bytes(tensors: &[Tensor], metadata: &str) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let metadata = HashMap::from([("obcache_capture".to_owned(), metadata.to_owned())]);
    safetensors::serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap()
}

/// A folder with `toy.safetensors` in it.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("toy.safetensors"), bytes(&tensors(), METADATA)).unwrap();
    folder
}

/// All files below a folder by their path in it.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(
                self::files(&path)
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}
