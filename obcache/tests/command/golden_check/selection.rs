//! Which cases are asked of a kernel, and the inputs that it is given.

use golden::Suite;
use safetensors::Dtype;

use super::{check_with, file, honest, vectors, version};
use crate::toy::obcache;

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
