//! Bad input: exit code 2, an error on stderr that names file, tensor, shape and expectation, and earlier results as
//! they were.

use std::path::Path;

use safetensors::Dtype;
use tempfile::TempDir;

use crate::toy::{METADATA, TOKENS, Tensor, bytes, f32s, files, folder, obcache, tensors};

/// A folder with an earlier report in it.
fn with_earlier_report() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("report")).unwrap();
    std::fs::write(folder.path().join("report/index.html"), "earlier").unwrap();
    folder
}

/// Runs `obcache report INPUT` and `obcache inspect INPUT` on a file of these bytes; both must refuse it in these words.
fn refused(name: &str, bytes: &[u8], expected: &[&str]) {
    let folder = with_earlier_report();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    refused_in(folder.path(), &["inspect", name], expected);
    refused_in(folder.path(), &["report", name], expected);
}

/// Runs the command in a folder: it must refuse, and must leave every file as it was.
fn refused_in(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let before = files(folder);
    let run = obcache().current_dir(folder).args(arguments).assert().code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(
        stderr.starts_with("error: ") && !stderr.contains("panicked"),
        "{stderr}"
    );
    for word in expected {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
    assert!(files(folder) == before, "files changed");
}

/// The toy with one tensor replaced; an empty shape takes it away.
fn spoilt(tensor: Tensor) -> Vec<u8> {
    let mut tensors = tensors();
    tensors.retain(|(name, ..)| *name != tensor.0);
    if !tensor.2.is_empty() {
        tensors.push(tensor);
    }
    bytes(&tensors, METADATA)
}

/// A file with this header and 16 bytes of data.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
}

#[test]
fn shapes_that_disagree() {
    let short = spoilt(("layer.0.value", Dtype::F32, vec![1, 3, 2], f32s(&[0.0; 6])));
    refused(
        "a.safetensors",
        &short,
        &["a.safetensors: layer.0.value: shape [1, 3, 2], expected [1, 48, 2]"],
    );
    let heads = spoilt(("layer.0.query", Dtype::F32, vec![3, 1, 2], f32s(&[0.0; 6])));
    refused(
        "a.safetensors",
        &heads,
        &["layer.0.query: shape [3, 1, 2], expected [2, at least 1, 2]"],
    );
    let flat = spoilt(("layer.0.key", Dtype::F32, vec![6], f32s(&[0.0; 6])));
    refused(
        "a.safetensors",
        &flat,
        &["layer.0.key: shape [6], expected [1, at least 1, 2]"],
    );
}

#[test]
fn nan_and_infinity() {
    for (number, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut numbers = [0.5; 2 * TOKENS];
        numbers[5] = number;
        let bytes = spoilt(("layer.0.key", Dtype::F32, vec![1, TOKENS, 2], f32s(&numbers)));
        let expected = format!("a.safetensors: layer.0.key: element [0, 2, 1] is {name}, expected a finite number");
        refused("a.safetensors", &bytes, &[&expected]);
    }
}

#[test]
fn zero_tokens() {
    let bytes = spoilt(("layer.0.key", Dtype::F32, vec![1, 0, 2], vec![]));
    refused(
        "a.safetensors",
        &bytes,
        &["layer.0.key: shape [1, 0, 2], expected [1, at least 1, 2]"],
    );
}

#[test]
fn missing_tensors() {
    for name in ["layer.0.query", "layer.0.key", "layer.0.value"] {
        let bytes = spoilt((name, Dtype::F32, vec![], vec![]));
        refused(
            "a.safetensors",
            &bytes,
            &[&format!("a.safetensors: {name}: is missing")],
        );
    }
    refused(
        "a.safetensors",
        &bytes(&[], METADATA),
        &["layer.L.query: is missing, expected at least one layer"],
    );
}

#[test]
fn unknown_dtype() {
    let bytes = spoilt(("layer.0.value", Dtype::I32, vec![1, TOKENS, 2], vec![0; 8 * TOKENS]));
    refused(
        "a.safetensors",
        &bytes,
        &["layer.0.value: dtype I32, expected F16, BF16, F32, F64"],
    );
}

#[test]
fn metadata_that_cannot_be() {
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 2", "version is 2, expected 1"),
        ("\"scale\": 0.5", "\"scale\": -1", "scale is -1"),
        ("\"num_kv_heads\": 1", "\"num_kv_heads\": 0", "0 KV heads"),
        ("\"causal\": true,", "", "missing field `causal`"),
        ("{", "", "metadata obcache_capture: "),
    ] {
        let bytes = bytes(&tensors(), &METADATA.replacen(from, to, 1));
        refused("a.safetensors", &bytes, &["a.safetensors: ", expected]);
    }
}

#[test]
fn truncated_and_hostile_files() {
    let whole = bytes(&tensors(), METADATA);
    let damaged = ["a.safetensors: damaged file: "];
    for length in [0, 7, 8, 20, whole.len() - 1] {
        refused("a.safetensors", &whole[..length], &damaged);
    }
    refused("a.safetensors", &[0xff; 32], &damaged);
    refused(
        "a.safetensors",
        &[&(1u64 << 63).to_le_bytes()[..], &[b' '; 64]].concat(),
        &damaged,
    );
    for header in [
        r#"{"layer.0.query":{"dtype":"F32","shape":[2],"data_offsets":[0,999]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#,
        r#"{"layer.0.query":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,16]}}"#,
        r#"{"layer.0.query":{"dtype":"F64","shape":[1152921504606846976,1152921504606846976],"data_offsets":[0,16]}}"#,
        r#"{"layer.0.query":{"dtype":"Q7","shape":[4],"data_offsets":[0,16]}}"#,
        "{\"\u{fffd}",
    ] {
        refused("a.safetensors", &with_header(header), &damaged);
    }
    let deep = "[".repeat(100_000);
    refused("a.safetensors", &with_header(&deep), &damaged);
}

#[test]
fn what_is_no_capture_file() {
    refused("a.npz", b"not a zip", &["a.npz: damaged file: "]);
    refused(
        "a.txt",
        b"",
        &["a.txt: has the extension \"txt\", expected a .safetensors or .npz file"],
    );
    let folder = with_earlier_report();
    for subcommand in ["inspect", "report"] {
        refused_in(folder.path(), &[subcommand, "report"], &["report: is a directory"]);
        refused_in(folder.path(), &[subcommand, "none.npz"], &["none.npz: No such file"]);
    }
    refused_in(folder.path(), &["report"], &["captures: ", "obcache report FILE"]);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let folder = folder();
    for out in ["toy.safetensors", "toy.safetensors/below"] {
        refused_in(
            folder.path(),
            &["report", "toy.safetensors", "--out", out],
            &[&format!("error: {out}: "), "expected a folder that can be written to"],
        );
    }
}

#[test]
fn two_captures_of_one_name() {
    let folder = folder();
    refused_in(
        folder.path(),
        &["report", "toy.safetensors", "./toy.safetensors"],
        &["./toy.safetensors: another capture is named toy too"],
    );
}

#[test]
fn arguments_that_cannot_be() {
    let folder = folder();
    for (arguments, expected) in [
        (
            &["report", "--future-from", "1.5"][..],
            "expected a number above 0 and below 1",
        ),
        (
            &["counterexample", "--score", "h2o", "--truth", "removal"],
            "possible values: value, value-p1, key",
        ),
        (
            &["counterexample", "--score", "key", "--truth", "loss"],
            "possible values: removal, key-zeroing",
        ),
        (&["claims", "gauge"], "expected the number of a claim"),
        (&["inspect"], "<FILE>"),
        (&["measure"], "unrecognized subcommand"),
    ] {
        refused_in(folder.path(), arguments, &[expected]);
    }
}
