//! A suite small enough to check by hand, whole or spoilt.

use std::path::Path;

use golden::{Dtype, OutputKind, Suite, SuiteError, sha256};
use ndarray::array;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn f64s(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Two equal keys: weights 1/2 each on the values 1 and 3.
fn tensors() -> Vec<u8> {
    let (query, key, value) = (f32s(&[1.0]), f32s(&[2.0, 2.0]), f32s(&[1.0, 3.0]));
    let (output, log_sum_exp, weight) = (f64s(&[2.0]), f64s(&[2.0 + 2f64.ln()]), f64s(&[0.5, 0.5]));
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let (f32, f64) = (safetensors::Dtype::F32, safetensors::Dtype::F64);
    let tensors = [
        ("tiny/even.f32/input/query", view(f32, &[1, 1, 1], &query)),
        ("tiny/even.f32/input/key", view(f32, &[1, 2, 1], &key)),
        ("tiny/even.f32/input/value", view(f32, &[1, 2, 1], &value)),
        ("tiny/even.f32/output/output", view(f64, &[1, 1, 1], &output)),
        ("tiny/even.f32/output/log-sum-exp", view(f64, &[1, 1], &log_sum_exp)),
        ("tiny/even.f32/output/weight", view(f64, &[1, 2], &weight)),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

fn manifest(bytes: &[u8]) -> Value {
    let tolerance = json!({"section": 4, "queries": 1, "heads": 1});
    json!({
        "suite": "obcache-golden", "version": "1.0.0", "certified": "by hand",
        "tolerance": {"derivation": "by hand", "accumulate": "f32", "unit_roundoff": 6e-8},
        "flags": {"bottom-right": "causal mask aligned top-left"},
        "files": [{"name": "tiny.safetensors", "bytes": bytes.len(), "sha256": sha256(bytes)}],
        "cases": [{
            "id": "tiny/even.f32", "family": "tiny", "file": "tiny.safetensors", "comment": "Two equal keys.",
            "flags": ["bottom-right"],
            "problem": {
                "dtype": "f32", "num_query_heads": 1, "num_kv_heads": 1, "query_len": 1, "kv_len": 2, "head_dim": 1,
                "value_dim": 1, "scale": 1.0, "softcap": null, "sink": false,
                "mask": {"causal": true, "sliding_window": null, "explicit": false, "segments": null},
            },
            "conditioning": {
                "largest_logit": 2.0, "largest_logit_terms": 2.0, "largest_value": 3.0, "smallest_rest": 0.5,
            },
            "outputs": [
                {"name": "output", "shape": [1, 1, 1], "tolerance": tolerance},
                {"name": "log-sum-exp", "shape": [1, 1], "tolerance": tolerance},
                {"name": "weight", "shape": [1, 2], "tolerance": tolerance},
            ],
            "twin": null,
        }],
        "decode_traces": [],
    })
}

fn read(bytes: &[u8], manifest: &Value) -> Result<Suite, SuiteError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tiny.safetensors"), bytes).unwrap();
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    Suite::read(folder.path())
}

/// The manifest with the value at a JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = manifest(&tensors());
    *manifest.pointer_mut(pointer).expect("the pointer leads somewhere") = value;
    manifest
}

fn refused(manifest: &Value) -> String {
    read(&tensors(), manifest).expect_err("refused").to_string()
}

/// The manifest with a decode trace of two steps over the tensors of `trace_tensors`.
fn trace_manifest(bytes: &[u8], heavy: usize, prefill_window: usize) -> Value {
    let mut manifest = manifest(bytes);
    let mut problem = manifest["cases"][0]["problem"].clone();
    (problem["query_len"], problem["kv_len"]) = (json!(3), json!(3));
    manifest["cases"] = json!([]);
    manifest["decode_traces"] = json!([{
        "id": "decode/tiny.f32", "file": "tiny.safetensors", "comment": "", "flags": [], "problem": problem,
        "score": "weight", "prefill": 2, "prefill_window": prefill_window, "heavy": heavy, "recent": 1,
    }]);
    manifest
}

/// Equal keys: the third query sees three weights of 1/3 and a cache of two, and so on. Only shapes matter here.
fn trace_tensors() -> Vec<u8> {
    let ones = f32s(&[1.0; 3]);
    let (prefill, steps) = (f64s(&[0.5; 2]), f64s(&[1.0; 3]));
    let kept: Vec<u8> = [0i64, 1, 1, 2]
        .iter()
        .flat_map(|position| position.to_le_bytes())
        .collect();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let (f32, f64) = (safetensors::Dtype::F32, safetensors::Dtype::F64);
    let tensors = [
        ("decode/tiny.f32/input/query", view(f32, &[1, 3, 1], &ones)),
        ("decode/tiny.f32/input/key", view(f32, &[1, 3, 1], &ones)),
        ("decode/tiny.f32/input/value", view(f32, &[1, 3, 1], &ones)),
        ("decode/tiny.f32/output/prefill-saliency", view(f64, &[1, 2], &prefill)),
        ("decode/tiny.f32/output/step-saliency", view(f64, &[1, 1, 3], &steps)),
        (
            "decode/tiny.f32/output/kept",
            view(safetensors::Dtype::I64, &[2, 1, 2], &kept),
        ),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

#[test]
fn a_decode_trace_is_read_whole_and_its_policy_checked() {
    let bytes = trace_tensors();
    let suite = read(&bytes, &trace_manifest(&bytes, 1, 2)).unwrap();
    let trace = &suite.decode_traces[0];
    assert_eq!((trace.policy.score, trace.policy.heavy), (OutputKind::Weight, 1));
    assert_eq!(trace.kept, array![[[0, 1]], [[1, 2]]]);
    for (heavy, prefill_window) in [(2, 2), (1, 0), (1, 3), (usize::MAX, 2)] {
        let error = read(&bytes, &trace_manifest(&bytes, heavy, prefill_window)).unwrap_err();
        assert!(error.to_string().contains("decode/tiny.f32: prefill 2, "), "{error}");
    }
}

#[test]
fn a_case_is_read_whole() {
    let suite = read(&tensors(), &manifest(&tensors())).unwrap();
    let case = &suite.cases[0];
    assert_eq!((case.dtype, case.problem.kv_len()), (Dtype::F32, 2));
    assert_eq!(case.problem.value, array![[[1.0], [3.0]]]);
    let names: Vec<String> = case.outputs.iter().map(|output| output.spec.to_string()).collect();
    assert_eq!(names, ["output", "log-sum-exp", "weight"]);
    assert_eq!(case.outputs[2].spec.kind, OutputKind::Weight);
    assert_eq!(case.outputs[2].truth, array![[0.5, 0.5]].into_dyn());
    assert_eq!(suite.flags[&case.flags[0]], "causal mask aligned top-left");
}

#[test]
fn another_file_than_the_manifests_is_refused() {
    let mut bytes = tensors();
    *bytes.last_mut().unwrap() ^= 1;
    let error = read(&bytes, &manifest(&tensors())).unwrap_err();
    assert!(matches!(error, SuiteError::Digest { .. }), "{error}");
    let truncated = &tensors()[..40];
    let error = read(truncated, &manifest(truncated)).unwrap_err();
    assert!(matches!(error, SuiteError::Damaged { .. }), "{error}");
    let error = Suite::read(Path::new("nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("nowhere/manifest.json: "), "{error}");
}

#[test]
fn what_the_manifest_gets_wrong_is_named() {
    for (pointer, value, expected) in [
        (
            "/cases/0/problem/dtype",
            json!("f16"),
            "tiny/even.f32/input/query: dtype F32, expected F16",
        ),
        ("/cases/0/problem/dtype", json!("f8"), "unknown variant `f8`"),
        (
            "/cases/0/problem/kv_len",
            json!(3),
            "shape [1, 2, 1], expected [1, 3, 1]",
        ),
        (
            "/cases/0/outputs/2/shape",
            json!([2, 1]),
            "weight: shape [2, 1], expected [1, 2]",
        ),
        (
            "/cases/0/outputs/2/name",
            json!("wait"),
            "there is no output named \"wait\"",
        ),
        (
            "/cases/0/outputs/2/name",
            json!("value"),
            "tiny/even.f32/output/value: ",
        ),
        ("/cases/0/problem/scale", json!(-1.0), "tiny/even.f32: scale is -1"),
        ("/cases/0/problem/softcap", json!(0.0), "tiny/even.f32: softcap is 0"),
        ("/cases/0/problem/sink", json!(true), "tiny/even.f32/input/sink"),
        (
            "/cases/0/problem/mask/explicit",
            json!(true),
            "tiny/even.f32/input/mask",
        ),
        ("/cases/0/problem/mask/sliding_window", json!(0), "sliding_window is 0"),
        (
            "/cases/0/file",
            json!("other"),
            "tiny/even.f32: its file \"other\" is not listed",
        ),
        (
            "/cases/0/flags",
            json!(["odd"]),
            "tiny/even.f32: its flag \"odd\" is not listed",
        ),
        ("/suite", json!("other"), "suite is \"other\""),
        (
            "/cases/0/twin",
            json!({"case": "", "relation": "cousin", "order": null, "equal_outputs": []}),
            "\"cousin\"",
        ),
        ("/flags", json!(7), "invalid type"),
    ] {
        let text = refused(&with(pointer, value));
        assert!(text.contains(expected), "{pointer}: {text}");
    }
    let mut twice = manifest(&tensors());
    let case = twice["cases"][0].clone();
    twice["cases"].as_array_mut().unwrap().push(case);
    assert!(refused(&twice).contains("tiny/even.f32 is there twice"));
    let mut unknown = manifest(&tensors());
    unknown["cases"][0]["tolerence"] = json!(1.0);
    assert!(refused(&unknown).contains("unknown field `tolerence`"));
}
