//! Results that are incomplete, spoilt or damaged: each fault is named, and the rest is judged.

use safetensors::Dtype;

use super::{Tensor, check, check_bytes, file, honest, vectors, version};
use crate::toy::obcache;

/// The honest results with one tensor changed: the exit code must be this, the words must be there, all others judged.
fn spoilt(change: impl FnOnce(&mut Tensor), code: i32, words: &[&str]) {
    let mut tensors = honest();
    let count = tensors.len();
    let tensor = tensors
        .iter_mut()
        .find(|tensor| tensor.0 == "bottom-right/chunk.f32/joint")
        .unwrap();
    change(tensor);
    let (found, text) = check(&tensors);
    assert_eq!(found, code, "{text}");
    let judged = if code == 2 { count - 1 } else { count };
    assert!(text.contains(&format!("{judged} outputs judged")), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut tensors = honest();
    tensors.retain(|tensor| tensor.0 != "bottom-right/chunk.f32/joint");
    let (code, text) = check(&tensors);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("bottom-right/chunk.f32/joint: the results hold no such tensor"),
        "{text}"
    );
    assert!(text.contains("179 outputs judged, 1 not"), "{text}");
    assert!(
        text.contains("11/12") && text.contains("incomplete") && !text.contains("FAIL"),
        "{text}"
    );
}

#[test]
fn what_nobody_asked_for_is_named_with_its_likely_meaning() {
    let mut tensors = honest();
    tensors.push((
        "bottom-right/chunk.f32/joints".to_owned(),
        Dtype::F32,
        vec![1],
        vec![0; 4],
    ));
    let (code, text) = check(&tensors);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("chunk.f32/joints: the suite asks for no such tensor; is it bottom-right/chunk.f32/joint?"),
        "{text}"
    );
}

#[test]
fn another_shape_or_dtype_is_named_with_what_was_expected() {
    let shape = ["bottom-right/chunk.f32/joint: shape [40, 2], expected [2, 40]"];
    spoilt(|tensor| tensor.2.reverse(), 2, &shape);
    let dtype = ["bottom-right/chunk.f32/joint: dtype I32, expected F32 or F64"];
    spoilt(|tensor| tensor.1 = Dtype::I32, 2, &dtype);
}

#[test]
fn what_is_not_finite_fails_with_its_place() {
    let nan = ["joint: 1 of 80 beyond the bound; worst at query_head 0, token 3: got NaN"];
    spoilt(
        |tensor| tensor.3[12..16].copy_from_slice(&f32::NAN.to_le_bytes()),
        1,
        &nan,
    );
    let infinite = [
        "worst at query_head 0, token 3: got inf",
        "1 of 1 failures are NaN or infinite",
    ];
    spoilt(
        |tensor| tensor.3[12..16].copy_from_slice(&f32::INFINITY.to_le_bytes()),
        1,
        &infinite,
    );
}

#[test]
fn results_of_another_suite_are_judged_and_told() {
    let (code, text, _) = check_bytes(&file(&honest(), "0.0.1"), &[]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("the results are of suite 0.0.1, this is suite") && text.contains("180 outputs judged"),
        "{text}"
    );
}

#[test]
fn of_a_file_that_is_cut_off_the_rest_is_judged() {
    let bytes = file(&honest(), &version());
    // The last tensor, of 40 bytes, loses most of them.
    let (code, text, _) = check_bytes(&bytes[..bytes.len() - 30], &[]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("bottom-right/more-queries.f32/") && text.contains("the file is cut off: it has"),
        "{text}"
    );
    assert!(text.contains("179 outputs judged, 1 not"), "{text}");
}

#[test]
fn what_is_no_results_file_is_refused() {
    for bytes in [&b"not safetensors"[..], &file(&honest(), &version())[..200]] {
        let (code, text, _) = check_bytes(bytes, &[]);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.starts_with("error: results.safetensors: no safetensors file"),
            "{text}"
        );
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 8]].concat();
    let long = u64::MAX.to_le_bytes().to_vec();
    for bytes in [
        long,
        header(r#"{"bottom-right/chunk.f32/joint":{"dtype":"F32","shape":[2,40],"data_offsets":[0,8]}}"#),
        header(
            r#"{"bottom-right/chunk.f32/joint":{"dtype":"F64","shape":[4611686018427387904,8],"data_offsets":[0,8]}}"#,
        ),
        header(r#"{"bottom-right/chunk.f32/joint":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}"#),
        header(r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}}"#),
        header("[[[[[[[["),
    ] {
        let (code, text, _) = check_bytes(&bytes, &[]);
        assert_eq!(code, 2, "{text}");
        let refused = text.starts_with("error: results.safetensors: no safetensors file, or cut off in its header: ");
        assert!(refused, "{text}");
    }
    // As long as it is said to be, and said to be huge: nothing of it is there.
    let huge = r#"{"bottom-right/chunk.f32/joint":{"dtype":"F32","shape":[2,40],"data_offsets":[0,320]}}"#;
    let (code, text, _) = check_bytes(&header(huge), &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("chunk.f32/joint: the file is cut off"), "{text}");
}

#[test]
fn a_folder_is_no_results_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = obcache()
        .current_dir(folder.path())
        .args(["golden", "check", ".", "--suite"])
        .arg(vectors())
        .assert()
        .code(2);
    let text = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(text.starts_with("error: .: "), "{text}");
}
