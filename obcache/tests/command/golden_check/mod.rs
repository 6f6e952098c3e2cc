//! `obcache golden check` as a kernel engineer meets it: verdicts, diagnosis, exit codes, and results that are spoilt.

mod decode;
mod results;
mod selection;
mod verdicts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use golden::rendering::Rendering;
use golden::{Precision, Suite};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use crate::toy::obcache;

/// Name, dtype, shape and bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// What a kernel gives for the family `bottom-right` in f32.
fn tensors(rendering: Rendering) -> Vec<Tensor> {
    let suite = Suite::read(&vectors()).unwrap();
    let cases = suite.cases.iter().filter(|case| case.family == "bottom-right");
    let mut tensors = Vec::new();
    for case in cases {
        let rendered = rendering.attend(&case.problem);
        for output in &case.outputs {
            let numbers = rendered.output(&output.spec);
            let bytes = numbers
                .iter()
                .flat_map(|&number| (number as f32).to_le_bytes())
                .collect();
            tensors.push((
                format!("{}/{}", case.id, output.spec),
                Dtype::F32,
                numbers.shape().to_vec(),
                bytes,
            ));
        }
    }
    tensors
}

fn honest() -> Vec<Tensor> {
    tensors(Rendering::plain(Precision::F32))
}

fn file(tensors: &[Tensor], version: &str) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let metadata = HashMap::from([("golden_suite".to_owned(), version.to_owned())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn version() -> String {
    Suite::read(&vectors()).unwrap().version
}

/// Runs the check of the family `bottom-right` on these bytes: its exit code, and what it prints.
fn check_bytes(bytes: &[u8], arguments: &[&str]) -> (i32, String, TempDir) {
    check_with(bytes, &[&["--family", "bottom-right"], arguments].concat())
}

fn check_with(bytes: &[u8], arguments: &[&str]) -> (i32, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("results.safetensors"), bytes).unwrap();
    let run = obcache()
        .current_dir(folder.path())
        .args(["golden", "check", "results.safetensors", "--suite"])
        .arg(vectors())
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    (run.status.code().unwrap(), text, folder)
}

fn check(tensors: &[Tensor]) -> (i32, String) {
    let (code, text, _) = check_bytes(&file(tensors, &version()), &[]);
    (code, text)
}
