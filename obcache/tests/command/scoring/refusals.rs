//! Arguments and files that cannot be scored are refused before anything is computed.

use safetensors::Dtype;

use super::{Kind, PLAIN, folder, refused};
use crate::toy::obcache;

#[test]
fn what_cannot_be_is_refused_before_anything_is_computed() {
    let folder = folder(PLAIN);
    let path = folder.path();
    let score = |options: &[&str], expected: &[&str]| {
        let arguments = ["score", "made.safetensors", "--out", "scores.safetensors"];
        refused(path, &[&arguments[..], options].concat(), expected);
        assert!(!path.join("scores.safetensors.parts").exists());
    };
    score(
        &["--layers", "1,9"],
        &["made.safetensors: has no layer 9, expected some of 0, 1, 2"],
    );
    score(&["--layers", "2-1"], &["expected layers by their index"]);
    score(&["--window", "last-0"], &["expected all, or the last so many queries"]);
    score(&["--shard", "0/3"], &["expected I/N with I from 1 to N"]);
    score(
        &["--shard", "1/7"],
        &["made.safetensors: has 6 KV heads to score", "expected at most 6 shards"],
    );
    score(&["--memory", "1KB"], &[" KiB at least", "--memory allows 1000 B"]);
    score(&["--memory", "much"], &["--memory"]);
    score(&["--threads", "0"], &["--threads"]);
    refused(path, &["score", "made.safetensors"], &["--out <FILE>"]);
    refused(path, &["score", "none.npz", "--out", "x"], &["none.npz: No such file"]);
    refused(
        path,
        &["score", "made.safetensors", "--out", "."],
        &[".: is a directory, expected a file"],
    );
    refused(
        path,
        &["score", "made.safetensors", "--out", "made.safetensors/x"],
        &["error: made.safetensors/x: "],
    );
    refused(
        path,
        &["score", "made.safetensors", "--out", "made.safetensors"],
        &["made.safetensors: is the capture"],
    );
    super::score(path, "part", &["--shard", "1/3"]);
    refused(
        path,
        &["score", "made.safetensors", "--out", "part", "--shard", "2/3"],
        &["part: holds shard 1/3 of this run, expected another --out for each shard"],
    );
}

#[test]
fn sixty_four_bits_are_not_narrowed() {
    let folder = folder(Kind {
        dtype: Dtype::F64,
        ..PLAIN
    });
    let arguments = [
        "score",
        "made.safetensors",
        "--out",
        "x.safetensors",
        "--precision",
        "f32",
    ];
    refused(folder.path(), &arguments, &["made.safetensors: is stored in 64 bits"]);
}

#[test]
fn a_number_that_is_none_is_named_with_its_tensor() {
    let folder = folder(PLAIN);
    let path = folder.path().join("made.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    // The last number of the file: value of layer 2, the last KV head, token and channel.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let run = obcache()
        .current_dir(folder.path())
        .args(["score", "made.safetensors", "--out", "scores.safetensors"])
        .assert()
        .code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let expected = "made.safetensors: layer.2.value: element [1, 69, 2] is NaN, expected a finite number";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(!folder.path().join("scores.safetensors").exists());
}
