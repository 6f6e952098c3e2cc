//! `obcache golden check` as a kernel engineer meets it: verdicts, diagnosis, exit codes, and results that are spoilt.

mod toy;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use golden::rendering::{Deviation, Rendering};
use golden::{Precision, Suite};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;
use toy::obcache;

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

/// What a kernel gives for the decode traces.
fn trace_tensors(rendering: Rendering) -> Vec<Tensor> {
    let suite = Suite::read(&vectors()).unwrap();
    let mut tensors = Vec::new();
    for trace in &suite.decode_traces {
        let decoded = rendering.decode(&trace.problem, &trace.policy);
        let name = |part: &str| format!("{}/{part}", trace.id);
        let f32s = |numbers: &[f64]| {
            numbers
                .iter()
                .flat_map(|&number| (number as f32).to_le_bytes())
                .collect()
        };
        let (prefill, step, kept) = (decoded.prefill_saliency, decoded.step_saliency, decoded.kept);
        let bytes = f32s(prefill.as_slice().unwrap());
        tensors.push((name("prefill-saliency"), Dtype::F32, prefill.shape().to_vec(), bytes));
        let bytes = f32s(step.as_slice().unwrap());
        tensors.push((name("step-saliency"), Dtype::F32, step.shape().to_vec(), bytes));
        let bytes = kept
            .iter()
            .flat_map(|&position| (position as i64).to_le_bytes())
            .collect();
        tensors.push((name("kept"), Dtype::I64, kept.shape().to_vec(), bytes));
    }
    tensors
}

fn honest_traces() -> Vec<Tensor> {
    trace_tensors(Rendering::plain(Precision::F32))
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

fn check_traces(tensors: &[Tensor]) -> (i32, String) {
    let (code, text, _) = check_with(&file(tensors, &version()), &["--family", "decode"]);
    (code, text)
}

/// The honest decode traces with one tensor changed: the exit code must be this, the words must be there.
fn spoilt_trace(part: &str, change: impl FnOnce(&mut Tensor), code: i32, words: &[&str]) {
    let mut tensors = honest_traces();
    let name = format!("decode/joint.f16/{part}");
    change(tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap());
    let (found, text) = check_traces(&tensors);
    assert_eq!(found, code, "{text}");
    let judged = if code == 2 {
        "20 outputs judged, 1 not"
    } else {
        "21 outputs judged, 0 not"
    };
    for word in words.iter().chain(&[judged]) {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

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
fn an_honest_kernel_conforms() {
    let (code, text) = check(&honest());
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("12/12") && text.contains("pass") && text.contains(": conforms"),
        "{text}"
    );
}

#[test]
fn a_wrong_kernel_reads_where_and_why_and_leaves_it_for_machines() {
    let wrong = tensors(Rendering::plain(Precision::F32).with(Deviation::CausalTopLeft));
    let (code, text, folder) = check_bytes(
        &file(&wrong, &version()),
        &["--junit", "junit.xml", "--json", "verdict.json"],
    );
    assert_eq!(code, 1, "{text}");
    for words in [
        "FAIL",
        "worst at query_head",
        "expected",
        "tolerance",
        "matches: causal mask aligned top-left",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let junit = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("<testsuite name=\"bottom-right\"") && junit.contains("<failure"),
        "{junit}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("verdict.json")).unwrap()).unwrap();
    assert_eq!(json["passed"], false);
    assert_eq!(json["diagnosis"]["bugs"][0]["name"], "causal-top-left");
}

#[test]
fn two_bugs_at_once_match_none_and_symptoms_are_told() {
    let mut wrong = tensors(Rendering::plain(Precision::F32).with(Deviation::ScaleMissing));
    for (name, _, _, bytes) in &mut wrong {
        if name.ends_with("/log-sum-exp") {
            bytes.fill(0);
        }
    }
    let (code, text) = check(&wrong);
    assert_eq!(code, 1);
    assert!(!text.contains("\nmatches:") && text.contains("no known bug"), "{text}");
    assert!(text.contains("log-sum-exp: all failures are 0.0000 times"), "{text}");
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

#[test]
fn an_honest_decode_loop_conforms() {
    let (code, text) = check_traces(&honest_traces());
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("7/7") && text.contains("21 outputs judged, 0 not: conforms"),
        "{text}"
    );
}

#[test]
fn a_wrong_decode_loop_reads_its_bug() {
    let wrong = Rendering::plain(Precision::F32).with(Deviation::DecodeCutFirst);
    let (code, text, folder) = check_with(
        &file(&trace_tensors(wrong), &version()),
        &["--family", "decode", "--json", "verdict.json", "--junit", "junit.xml"],
    );
    assert_eq!(code, 1, "{text}");
    for words in [
        "matches: decoding: cache cut before the step is added to the saliencies\n",
        "step-saliency: ",
        "FAIL",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let json = std::fs::read_to_string(folder.path().join("verdict.json")).unwrap();
    assert!(json.contains("decode-cut-first"), "{json}");
    let junit = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains("decode/key.f32/step-saliency"), "{junit}");
}

#[test]
fn spoilt_traces_are_told_by_name() {
    spoilt_trace(
        "kept",
        |tensor| tensor.1 = Dtype::F64,
        2,
        &["decode/joint.f16/kept: dtype F64, expected I64"],
    );
    let shape = [
        "decode/joint.f16/step-saliency: shape [16, 30], expected [16, 2, 15]",
        "incomplete",
    ];
    spoilt_trace("step-saliency", |tensor| tensor.2 = vec![16, 30], 2, &shape);
    let missing = [
        "decode/joint.f16/prefill-saliency: the results hold no such tensor",
        "is it decode/joint.f16/pre",
    ];
    spoilt_trace("prefill-saliency", |tensor| tensor.0.push('s'), 2, &missing);
    let nan = [
        "step-saliency: 1 of 480 beyond the bound; worst at step 0, query_head 0, slot 3: got NaN",
        "step-saliency: 1 of 1 failures are NaN or infinite",
        "FAIL",
    ];
    spoilt_trace(
        "step-saliency",
        |tensor| tensor.3[12..16].copy_from_slice(&f32::NAN.to_le_bytes()),
        1,
        &nan,
    );
    let kept = [
        "kept: 1 of 476 wrong; first at cut 0, query_head 0, slot 0: got 9000, expected exactly",
        "which are not cached tokens in ascending order",
    ];
    spoilt_trace(
        "kept",
        |tensor| tensor.3[..8].copy_from_slice(&9000i64.to_le_bytes()),
        1,
        &kept,
    );
}

#[test]
fn a_kernel_without_a_decode_loop_says_so() {
    let arguments = ["--flag", "bottom-right", "--flag", "accumulation", "--output", "joint"];
    let (_, text, _) = check_with(&file(&honest(), &version()), &arguments);
    assert!(!text.contains("decode"), "{text}");
    let (_, text, _) = check_with(
        &file(&honest(), &version()),
        &["--skip", "decode", "--flag", "accumulation"],
    );
    assert!(text.starts_with("error: no case is left"), "{text}");
    let (code, text, _) = check_with(&file(&honest(), &version()), &["--family", "decode"]);
    assert!(
        code == 2 && text.contains("0/7") && text.contains("incomplete"),
        "{text}"
    );
    let (_, text, _) = check_with(&file(&honest(), &version()), &["--skip", "decoding"]);
    assert!(text.starts_with("error: there is no family decoding"), "{text}");
}

#[test]
fn a_family_that_does_not_exist_is_answered_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = obcache()
        .current_dir(folder.path())
        .args(["golden", "check", "results.safetensors", "--family", "plian", "--suite"])
        .arg(vectors())
        .assert()
        .code(2);
    let text = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(text.contains("families are plain, tokens"), "{text}");
}

#[test]
fn inputs_are_the_suite_without_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    obcache()
        .current_dir(folder.path())
        .args(["golden", "inputs", "inputs", "--suite"])
        .arg(vectors())
        .assert()
        .success();
    let bytes = std::fs::read(folder.path().join("inputs/inputs.safetensors")).unwrap();
    let inputs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let suite = Suite::read(&vectors()).unwrap();
    let query = inputs.tensor("plain/causal.f16/query").unwrap();
    assert_eq!(query.dtype(), Dtype::F16);
    assert!(inputs.names().iter().all(|name| {
        !["/output", "/joint", "/kept"]
            .iter()
            .any(|output| name.ends_with(output))
    }));
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("inputs/cases.json")).unwrap()).unwrap();
    assert_eq!(cases["cases"].as_array().unwrap().len(), suite.cases.len());
    assert_eq!(cases["cases"][0]["outputs"][0]["tensor"], "plain/causal.f32/output");
    let traces = cases["decode_traces"].as_array().unwrap();
    assert_eq!(traces.len(), suite.decode_traces.len());
    assert_eq!(traces[0]["outputs"][1]["tensor"], "decode/weight.f32/step-saliency");
    assert_eq!((&traces[0]["heavy"], &traces[0]["scale"]), (&9.into(), &0.25.into()));
    assert!(inputs.tensor("decode/joint.bf16/key").is_ok());
    let readme = std::fs::read_to_string(folder.path().join("inputs/README.md")).unwrap();
    assert!(
        readme.contains(&suite.version) && !readme.contains("VERSION"),
        "{readme}"
    );
}
