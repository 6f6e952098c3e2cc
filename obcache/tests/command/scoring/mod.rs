//! `obcache score` and `obcache merge`: the same bytes however the work is laid out, split, interrupted or killed.

mod interruption;
mod numbers;
mod recipes;
mod refusals;
mod shards;

use std::collections::HashMap;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use crate::toy::{files, obcache, stdout};

/// Layers of the captures made here.
const LAYERS: usize = 3;

/// What tells one capture made here from another.
#[derive(Clone, Copy)]
struct Kind {
    tokens: usize,
    dtype: Dtype,
    kv_heads: usize,
    more: &'static str,
    seed: u64,
}

/// 4 query heads on 2 KV heads.
const PLAIN: Kind = Kind {
    tokens: 70,
    dtype: Dtype::F32,
    kv_heads: 2,
    more: r#""causal": true"#,
    seed: 1,
};

/// A capture of 3 layers, 4 query heads, head_dim 4 and value_dim 3.
fn write_capture(path: &Path, kind: Kind) {
    let mut random = ChaCha8Rng::seed_from_u64(kind.seed);
    let mut tensors = Vec::new();
    for layer in 0..LAYERS {
        for (part, heads, channels) in [("query", 4, 4), ("key", kind.kv_heads, 4), ("value", kind.kv_heads, 3)] {
            let shape = vec![heads, kind.tokens, channels];
            let numbers = (0..shape.iter().product()).map(|_| random.random_range(-2.0..2.0));
            let bytes: Vec<u8> = match kind.dtype {
                Dtype::F32 => numbers.flat_map(|number: f64| (number as f32).to_le_bytes()).collect(),
                _ => numbers.flat_map(f64::to_le_bytes).collect(),
            };
            tensors.push((format!("layer.{layer}.{part}"), shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(kind.dtype, shape.clone(), bytes).unwrap()));
    let metadata = format!(
        r#"{{"version": 1, "model": "made", "scale": 0.5, "num_query_heads": 4, "num_kv_heads": {}, "head_dim": 4,
        "value_dim": 3, {}}}"#,
        kind.kv_heads, kind.more
    );
    let metadata = HashMap::from([("obcache_capture".to_owned(), metadata)]);
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// A folder with such a capture in it, `made.safetensors`.
fn folder(kind: Kind) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_capture(&folder.path().join("made.safetensors"), kind);
    folder
}

/// Runs `obcache score made.safetensors --out OUT ...` in the folder and returns what OUT then holds.
fn score(folder: &Path, out: &str, options: &[&str]) -> Vec<u8> {
    let arguments = ["score", "made.safetensors", "--out", out];
    stdout(obcache().current_dir(folder).args(arguments).args(options));
    assert!(!folder.join(format!("{out}.parts")).exists());
    std::fs::read(folder.join(out)).unwrap()
}

/// Runs the command in the folder: it must end with this code and these words, and leave every file as it was.
fn refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let before = files(folder);
    let run = obcache().current_dir(folder).args(arguments).assert().code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    for word in expected {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
    assert!(files(folder) == before, "files changed");
}
