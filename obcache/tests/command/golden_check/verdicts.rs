//! What honest and wrong kernels are told.

use golden::Precision;
use golden::rendering::{Deviation, Rendering};

use super::{check, check_bytes, file, honest, tensors, version};

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
