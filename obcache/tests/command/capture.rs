//! `obcache capture`: what is captured is what transformers recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use capture::Capture;
use ndarray::Array3;

use crate::toy::{obcache, stdout};

/// Absolute, as for the logits (C39): queries and keys go up to 20 or so, in 32 bits.
const IN_32_BITS: f64 = 1e-4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn committed() -> Capture {
    Capture::read(&root().join("captures/needle-512.safetensors")).unwrap()
}

fn farthest(left: &Array3<f64>, right: &Array3<f64>) -> f64 {
    assert_eq!(left.shape(), right.shape());
    (left - right).fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// The text of the committed capture in a file, and a place for another capture.
fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (text, out) = (folder.path().join("text"), folder.path().join("new.safetensors"));
    std::fs::write(&text, committed().metadata().text.as_ref().unwrap()).unwrap();
    (folder, text, out)
}

fn assert_same(capture: &Capture, other: &Capture) {
    assert_eq!(capture.tokens(), other.tokens());
    assert_eq!(capture.layers().len(), other.layers().len());
    for (layer, expected) in capture.layers().iter().zip(other.layers()) {
        assert_eq!((layer.index, &layer.o_proj), (expected.index, &expected.o_proj));
        for (part, expected) in [
            (&layer.query, &expected.query),
            (&layer.key, &expected.key),
            (&layer.value, &expected.value),
        ] {
            assert!(
                farthest(part, expected) < IN_32_BITS,
                "layer {}: {:e}",
                layer.index,
                farthest(part, expected)
            );
        }
    }
    let (mut metadata, expected) = (capture.metadata().clone(), other.metadata());
    assert!((metadata.scale - expected.scale).abs() < 1e-15);
    metadata.scale = expected.scale;
    assert_eq!(&metadata, expected);
}

#[test]
fn c40_a_capture_is_what_transformers_recorded() {
    let (_folder, text, out) = prepared();
    stdout(obcache().args(["capture", "--text"]).arg(&text).arg("--out").arg(&out));
    assert_same(&Capture::read(&out).unwrap(), &committed());
}

#[test]
fn layers_and_window_choose_what_is_captured() {
    let (folder, text, out) = prepared();
    let chosen = ["--layers", "1,3", "--window", "last-8", "--dtype", "bf16"];
    stdout(
        obcache()
            .args(["capture", "--text"])
            .arg(&text)
            .arg("--out")
            .arg(&out)
            .args(chosen),
    );
    let capture = Capture::read(&out).unwrap();
    let layers: Vec<usize> = capture.layers().iter().map(|layer| layer.index).collect();
    assert_eq!((layers, capture.metadata().num_layers), (vec![1, 3], Some(4)));
    let layer = &capture.layers()[1];
    assert_eq!(
        (layer.query.shape(), layer.key.shape()),
        (&[6, 8, 32][..], &[2, 512, 32][..])
    );
    assert_eq!(layer.dtype, "BF16");
    let refused = |arguments: &[&str]| {
        let mut command = obcache();
        command
            .args(["capture", "--text"])
            .arg(&text)
            .arg("--out")
            .arg(&out)
            .args(arguments);
        String::from_utf8(command.assert().code(2).get_output().stderr.clone()).unwrap()
    };
    assert!(refused(&["--layers", "4"]).contains("the model has no layer 4, expected layers below 4"));
    assert!(refused(&["--model", "nowhere"]).contains("nowhere/config.json: No such file"));
    std::fs::write(folder.path().join("text"), "x".repeat(2049)).unwrap();
    assert!(refused(&[]).contains("2049 tokens, expected at most 2048 (max_position_embeddings of config.json)"));
    assert!(out.exists(), "a refusal leaves the earlier capture");
}

/// `tools/capture_hf.py` against `obcache capture`; `OBCACHE_PYTHON` names a Python that has torch and transformers.
#[test]
fn the_python_tool_captures_the_same() {
    let python = std::env::var("OBCACHE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_torch = Command::new(&python)
        .args(["-c", "import torch, transformers, safetensors"])
        .output();
    if !has_torch.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no torch with transformers and safetensors");
        return;
    }
    let (_folder, text, out) = prepared();
    let tool = root().join("tools/capture_hf.py");
    let mut command = Command::new(&python);
    command
        .arg(tool)
        .arg(root().join("models/llama-tiny"))
        .arg("--text")
        .arg(&text)
        .arg("--out")
        .arg(&out);
    let output = command.args(["--dtype", "f32", "--device", "cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = Capture::read(&out).unwrap();
    stdout(obcache().args(["capture", "--text"]).arg(&text).arg("--out").arg(&out));
    assert_same(&Capture::read(&out).unwrap(), &theirs);
}
