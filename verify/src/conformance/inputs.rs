//! What a kernel in another language is given: the inputs of every case, without the answers.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use golden::{Case, Dtype, Problem, Suite};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, TensorView};
use serde_json::{Value, json};

use super::results::VERSION_KEY;
use crate::output::write_atomically;

/// Name, dtype, shape and bytes.
type Tensor = (String, Stored, Vec<usize>, Vec<u8>);

/// Writes `inputs.safetensors`, `cases.json` and a README that says what to do with them to `folder`.
///
/// # Errors
/// The system's, where a file cannot be written.
pub fn write(suite: &Suite, folder: &Path) -> io::Result<()> {
    let tensors: Vec<Tensor> = suite.cases.iter().flat_map(tensors).collect();
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes)
            .map(|view| (name.as_str(), view))
            .map_err(io::Error::other)
    });
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<io::Result<_>>()?;
    let version = HashMap::from([(VERSION_KEY.to_owned(), suite.version.clone())]);
    let bytes = safetensors::serialize(views, Some(version)).map_err(io::Error::other)?;
    let cases: Vec<Value> = suite.cases.iter().map(case).collect();
    let list = json!({ VERSION_KEY: suite.version, "cases": cases });
    write_atomically(&folder.join("inputs.safetensors"), &bytes)?;
    write_atomically(&folder.join("cases.json"), &serde_json::to_vec_pretty(&list)?)?;
    let readme = README.replace("VERSION", &suite.version);
    write_atomically(&folder.join("README.md"), readme.as_bytes())
}

const README: &str = include_str!("inputs_readme.md");

fn case(case: &Case) -> Value {
    let problem = &case.problem;
    let outputs: Vec<Value> = case
        .outputs
        .iter()
        .map(|output| json!({"tensor": format!("{}/{}", case.id, output.spec), "shape": output.truth.shape()}))
        .collect();
    json!({
        "id": case.id, "family": case.family, "comment": case.comment, "flags": case.flags, "dtype": case.dtype,
        "num_query_heads": problem.num_query_heads(), "num_kv_heads": problem.num_kv_heads(),
        "query_len": problem.query_len(), "kv_len": problem.kv_len(),
        "head_dim": problem.head_dim(), "value_dim": problem.value_dim(),
        "scale": problem.scale, "softcap": problem.softcap, "sink": problem.sinks.is_some(),
        "mask": {
            "causal": problem.mask.causal, "sliding_window": problem.mask.sliding_window,
            "explicit": problem.mask.explicit.is_some(), "segments": problem.mask.segments,
        },
        "outputs": outputs,
    })
}

fn tensors(case: &Case) -> Vec<Tensor> {
    let Problem { query, key, value, .. } = &case.problem;
    let name = |part: &str| format!("{}/{part}", case.id);
    let stored = |part: &str, shape: &[usize], numbers: &mut dyn Iterator<Item = f64>| {
        let bytes = numbers.flat_map(|number| encode(number, case.dtype)).collect();
        (name(part), dtype(case.dtype), shape.to_vec(), bytes)
    };
    let mut tensors = vec![
        stored("query", query.shape(), &mut query.iter().copied()),
        stored("key", key.shape(), &mut key.iter().copied()),
        stored("value", value.shape(), &mut value.iter().copied()),
    ];
    if let Some(sinks) = &case.problem.sinks {
        tensors.push(stored("sink", &[sinks.len()], &mut sinks.iter().copied()));
    }
    if let Some(mask) = &case.problem.mask.explicit {
        let seen = mask.iter().map(|&seen| u8::from(seen)).collect();
        tensors.push((name("mask"), Stored::BOOL, mask.shape().to_vec(), seen));
    }
    tensors
}

fn dtype(dtype: Dtype) -> Stored {
    match dtype {
        Dtype::F32 => Stored::F32,
        Dtype::F16 => Stored::F16,
        Dtype::Bf16 => Stored::BF16,
    }
}

/// The little-endian bytes of a number that the format holds exactly.
fn encode(number: f64, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => (number as f32).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f64(number).to_le_bytes().to_vec(),
        Dtype::Bf16 => bf16::from_f64(number).to_le_bytes().to_vec(),
    }
}
