//! What a kernel in another language is given: the inputs of every case and decode trace, without the answers.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use golden::{AttentionProblem, Case, DecodeTrace, Dtype, Suite};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, TensorView};
use serde_json::{Value, json};

use super::results::VERSION_KEY;
use study::output::write_atomically;

/// Name, dtype, shape and bytes.
type Tensor = (String, Stored, Vec<usize>, Vec<u8>);

/// Writes `inputs.safetensors`, `cases.json` and a README that says what to do with them to `folder`.
///
/// # Errors
/// The system's, where a file cannot be written.
pub fn write(suite: &Suite, folder: &Path) -> io::Result<()> {
    let cases = suite.cases.iter().map(|case| (&case.id, case.dtype, &case.problem));
    let traces = suite.decode_traces.iter();
    let traces = traces.map(|trace| (&trace.id, trace.dtype, &trace.problem));
    let tensors: Vec<Tensor> = cases.chain(traces).flat_map(tensors).collect();
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes)
            .map(|view| (name.as_str(), view))
            .map_err(io::Error::other)
    });
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<io::Result<_>>()?;
    let version = HashMap::from([(VERSION_KEY.to_owned(), suite.version.clone())]);
    let bytes = safetensors::serialize(views, Some(version)).map_err(io::Error::other)?;
    let cases: Vec<Value> = suite.cases.iter().map(case).collect();
    let traces: Vec<Value> = suite.decode_traces.iter().map(trace).collect();
    let list = json!({ VERSION_KEY: suite.version, "cases": cases, "decode_traces": traces });
    write_atomically(&folder.join("inputs.safetensors"), &bytes)?;
    write_atomically(&folder.join("cases.json"), &serde_json::to_vec_pretty(&list)?)?;
    let readme = README.replace("VERSION", &suite.version);
    write_atomically(&folder.join("README.md"), readme.as_bytes())
}

const README: &str = include_str!("inputs_readme.md");

fn case(case: &Case) -> Value {
    let output = |output: &golden::Output| {
        let tensor = format!("{}/{}", case.id, output.spec);
        json!({"tensor": tensor, "shape": output.truth.shape()})
    };
    let mut entry = json!({
        "id": case.id, "family": case.family, "comment": case.comment, "flags": case.flags,
        "outputs": case.outputs.iter().map(output).collect::<Vec<_>>(),
    });
    describe(&mut entry, case.dtype, &case.problem);
    entry
}

fn trace(trace: &DecodeTrace) -> Value {
    let outputs = DecodeTrace::PARTS.iter().zip(trace.shapes());
    let outputs = outputs.map(|(part, shape)| json!({"tensor": format!("{}/{part}", trace.id), "shape": shape}));
    let policy = &trace.policy;
    let mut entry = json!({
        "id": trace.id, "comment": trace.comment, "flags": trace.flags, "score": policy.score.name(),
        "prefill": policy.prefill, "prefill_window": policy.prefill_window,
        "heavy": policy.heavy, "recent": policy.recent, "outputs": outputs.collect::<Vec<_>>(),
    });
    describe(&mut entry, trace.dtype, &trace.problem);
    entry
}

/// Adds what a kernel must know of the problem beside its tensors.
fn describe(entry: &mut Value, dtype: Dtype, problem: &AttentionProblem) {
    entry["dtype"] = json!(dtype);
    for (name, size) in [
        ("num_query_heads", problem.num_query_heads()),
        ("num_kv_heads", problem.num_kv_heads()),
        ("query_len", problem.query_len()),
        ("kv_len", problem.kv_len()),
        ("head_dim", problem.head_dim()),
        ("value_dim", problem.value_dim()),
    ] {
        entry[name] = json!(size);
    }
    entry["scale"] = json!(problem.scale);
    entry["softcap"] = json!(problem.softcap);
    entry["sink"] = json!(problem.sinks.is_some());
    entry["mask"] = json!({
        "causal": problem.mask.causal, "sliding_window": problem.mask.sliding_window,
        "explicit": problem.mask.explicit.is_some(), "segments": problem.mask.segments,
    });
}

fn tensors((id, of, problem): (&String, Dtype, &AttentionProblem)) -> Vec<Tensor> {
    let AttentionProblem { query, key, value, .. } = problem;
    let name = |part: &str| format!("{id}/{part}");
    let stored = |part: &str, shape: &[usize], numbers: &mut dyn Iterator<Item = f64>| {
        let bytes = numbers.flat_map(|number| encode(number, of)).collect();
        (name(part), dtype(of), shape.to_vec(), bytes)
    };
    let mut tensors = vec![
        stored("query", query.shape(), &mut query.iter().copied()),
        stored("key", key.shape(), &mut key.iter().copied()),
        stored("value", value.shape(), &mut value.iter().copied()),
    ];
    if let Some(sinks) = &problem.sinks {
        tensors.push(stored("sink", &[sinks.len()], &mut sinks.iter().copied()));
    }
    if let Some(mask) = &problem.mask.explicit {
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
