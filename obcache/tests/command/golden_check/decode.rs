//! Decode loops: honest, wrong and spoilt.

use golden::rendering::{Deviation, Rendering};
use golden::{Precision, Suite};
use safetensors::Dtype;

use super::{Tensor, check_with, file, vectors, version};

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
