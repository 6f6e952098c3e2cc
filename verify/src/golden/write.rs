//! The suite as files: one safetensors file a family, the manifest, and its schema.

use std::collections::BTreeMap;

use golden::{AttentionProblem, Case, DecodeTrace, Dtype};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use serde::Serialize;
use serde_json::Serializer;

use super::certify::TruthError;
use super::lines::Lines;
use super::manifest::{file_name, manifest, schema};

/// The name and the bytes of each file of a suite.
///
/// # Errors
/// [`TruthError::Problem`] where a case is no attention problem.
pub(super) fn files(cases: &[Case], traces: &[DecodeTrace]) -> Result<Vec<(String, Vec<u8>)>, TruthError> {
    let mut tensors: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
    for case in cases {
        let file = tensors.entry(file_name(&case.id)).or_default();
        file.extend(problem_tensors(&case.id, case.dtype, &case.problem));
        for output in &case.outputs {
            let name = format!("{}/output/{}", case.id, output.spec);
            file.push(Tensor::truth(name, output.truth.shape(), output.truth.iter()));
        }
    }
    for trace in traces {
        let file = tensors.entry(file_name(&trace.id)).or_default();
        file.extend(problem_tensors(&trace.id, trace.dtype, &trace.problem));
        let name = |part| format!("{}/output/{part}", trace.id);
        let (prefill, steps) = (&trace.prefill_saliency, &trace.step_saliency);
        file.push(Tensor::truth(name("prefill-saliency"), prefill.shape(), prefill.iter()));
        file.push(Tensor::truth(name("step-saliency"), steps.shape(), steps.iter()));
        file.push(Tensor {
            name: name("kept"),
            dtype: safetensors::Dtype::I64,
            shape: trace.kept.shape().to_vec(),
            bytes: trace
                .kept
                .iter()
                .flat_map(|&position| (position as i64).to_le_bytes())
                .collect(),
        });
    }
    let mut files: Vec<(String, Vec<u8>)> = (tensors.into_iter())
        .map(|(name, tensors)| (name, serialize(&tensors)))
        .collect();
    let manifest = json(&manifest(cases, traces, &files)?);
    files.push(("manifest.json".to_owned(), manifest));
    files.push(("schema.json".to_owned(), json(&schema())));
    Ok(files)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut json, Lines::default());
    value
        .serialize(&mut serializer)
        .expect("strings and finite numbers are JSON");
    json.push(b'\n');
    json
}

struct Tensor {
    name: String,
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn truth<'a>(name: String, shape: &[usize], numbers: impl Iterator<Item = &'a f64>) -> Self {
        Self {
            name,
            dtype: safetensors::Dtype::F64,
            shape: shape.to_vec(),
            bytes: numbers.flat_map(|number| number.to_le_bytes()).collect(),
        }
    }

    /// Numbers that are already those of `dtype`.
    fn input<'a>(name: String, dtype: Dtype, shape: &[usize], numbers: impl Iterator<Item = &'a f64>) -> Self {
        let (stored, bytes) = match dtype {
            Dtype::F32 => (
                safetensors::Dtype::F32,
                numbers.flat_map(|&x| (x as f32).to_le_bytes()).collect(),
            ),
            Dtype::F16 => (
                safetensors::Dtype::F16,
                numbers.flat_map(|&x| f16::from_f32(x as f32).to_le_bytes()).collect(),
            ),
            Dtype::Bf16 => (
                safetensors::Dtype::BF16,
                numbers.flat_map(|&x| bf16::from_f32(x as f32).to_le_bytes()).collect(),
            ),
        };
        Self {
            name,
            dtype: stored,
            shape: shape.to_vec(),
            bytes,
        }
    }
}

fn problem_tensors(id: &str, dtype: Dtype, problem: &AttentionProblem) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for (part, tensor) in [
        ("query", &problem.query),
        ("key", &problem.key),
        ("value", &problem.value),
    ] {
        tensors.push(Tensor::input(
            format!("{id}/input/{part}"),
            dtype,
            tensor.shape(),
            tensor.iter(),
        ));
    }
    if let Some(sinks) = &problem.sinks {
        tensors.push(Tensor::input(
            format!("{id}/input/sink"),
            dtype,
            &[sinks.len()],
            sinks.iter(),
        ));
    }
    if let Some(mask) = &problem.mask.explicit {
        tensors.push(Tensor {
            name: format!("{id}/input/mask"),
            dtype: safetensors::Dtype::BOOL,
            shape: mask.shape().to_vec(),
            bytes: mask.iter().map(|&visible| u8::from(visible)).collect(),
        });
    }
    tensors
}

fn serialize(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (tensor.name.as_str(), view.expect("as many bytes as the shape says"))
    });
    safetensors::serialize(views, None).expect("tensors of distinct names")
}
