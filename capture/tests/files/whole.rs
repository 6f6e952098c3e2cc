//! A whole capture: what a head carries, and refusals that name the tensor.

use std::collections::HashMap;
use std::path::Path;

use capture::Capture;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::{METADATA, bytes, f32s, read, refusal, repository};

#[test]
fn a_head_carries_everything_the_metadata_says() {
    let capture = read(&bytes(None)).unwrap();
    assert_eq!((capture.name().as_str(), capture.layers()[0].index), ("toy", 3));
    let head = capture.head(0, 1).unwrap();
    assert_eq!((head.scale(), head.sink()), (0.5, Some(1.5)));
    assert_eq!(head.softcap().unwrap().cap(), 30.0);
    assert_eq!(head.query(), ndarray::array![[5.0, 6.0], [7.0, 8.0]]);
    let seen = |i, j| head.visibility().visible(i, j);
    assert_eq!(
        [seen(0, 0), seen(0, 1), seen(0, 2), seen(1, 0)],
        [true, true, false, false]
    );
    assert!(capture.head(1, 0).is_err());
    assert!(capture.head(0, 2).is_err());
}

#[test]
fn every_float_width_reads_to_the_same_numbers() {
    let values = [1.0f32, -0.5, 2.0];
    let as_f16 = values
        .iter()
        .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
        .collect();
    let as_bf16 = values
        .iter()
        .flat_map(|&v| half::bf16::from_f32(v).to_le_bytes())
        .collect();
    let as_f64 = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
    for (dtype, data) in [
        (Dtype::F16, as_f16),
        (Dtype::BF16, as_bf16),
        (Dtype::F32, f32s(&values)),
        (Dtype::F64, as_f64),
    ] {
        let capture = read(&bytes(Some(("layer.3.value", dtype, vec![1, 3, 1], data)))).unwrap();
        assert_eq!(capture.layers()[0].value.as_slice().unwrap(), [1.0, -0.5, 2.0]);
    }
}

#[test]
fn the_shipped_captures_are_read() {
    for (file, tokens, projected) in [
        ("needle-512", 512, true),
        ("text-384", 384, false),
        ("recall-480", 480, false),
    ] {
        let capture = Capture::read(&repository(&format!("captures/{file}.safetensors"))).unwrap();
        assert_eq!(capture.layers().len(), 4);
        assert_eq!(capture.tokens().unwrap().len(), tokens);
        assert_eq!(capture.head(3, 5).unwrap().kv_len(), tokens);
        assert_eq!(capture.layers()[0].o_proj.is_some(), projected);
    }
}

#[test]
fn npz_written_by_numpy_is_read() {
    let capture = Capture::read(&repository("capture/tests/numpy/toy.npz")).unwrap();
    let head = capture.head(0, 1).unwrap();
    assert_eq!(head.value().column(0).to_vec(), [1.0, 2.0, 3.0]);
    assert_eq!(capture.layers()[0].dtype, "f2");
    assert_eq!(capture.tokens().unwrap(), [7, 8, 9]);
    let bytes = Capture::read(&repository("capture/tests/numpy/bytes.npz")).unwrap();
    assert_eq!(bytes.metadata(), capture.metadata());
}

#[test]
fn refusals_name_the_tensor_and_the_expectation() {
    let spoilt =
        |name, dtype, shape: &[usize], data: Vec<u8>| refusal(&bytes(Some((name, dtype, shape.to_vec(), data))));
    let message = spoilt("layer.3.value", Dtype::F32, &[], vec![]);
    assert!(
        message.ends_with("toy.safetensors: layer.3.value: is missing"),
        "{message}"
    );
    let message = spoilt("layer.3.value", Dtype::F32, &[1, 2, 1], f32s(&[0.0; 2]));
    assert!(
        message.ends_with("layer.3.value: shape [1, 2, 1], expected [1, 3, 1]"),
        "{message}"
    );
    let message = spoilt("layer.3.query", Dtype::F32, &[4, 2], f32s(&[0.0; 8]));
    assert!(
        message.ends_with("layer.3.query: shape [4, 2], expected [2, at least 1, 2]"),
        "{message}"
    );
    let message = spoilt("layer.3.key", Dtype::F32, &[1, 0, 2], vec![]);
    assert!(
        message.ends_with("layer.3.key: shape [1, 0, 2], expected [1, at least 1, 2]"),
        "{message}"
    );
    let message = spoilt("layer.3.value", Dtype::F32, &[1, 3, 1], f32s(&[0.0, f32::NAN, 0.0]));
    assert!(
        message.ends_with("layer.3.value: element [0, 1, 0] is NaN, expected a finite number"),
        "{message}"
    );
    let message = spoilt("layer.3.value", Dtype::I32, &[1, 3, 1], vec![0; 12]);
    assert!(message.contains("layer.3.value: dtype I32, expected F16"), "{message}");
    let message = spoilt("layer.3.o_proj", Dtype::F32, &[2, 3], f32s(&[0.0; 6]));
    assert!(
        message.ends_with("layer.3.o_proj: shape [2, 3], expected [hidden, 2]"),
        "{message}"
    );
    let message = spoilt("tokens", Dtype::I64, &[2], vec![0; 16]);
    assert!(
        message.ends_with("tokens: shape [2], expected [3] (kv_len)"),
        "{message}"
    );
}

#[test]
fn what_would_overflow_is_refused_with_layer_and_head() {
    // Keys of 8: query head 1 alone has a logit beyond the limit.
    let key: Vec<u8> = [8.0f64; 6].iter().flat_map(|number| number.to_le_bytes()).collect();
    let query: Vec<u8> = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e70, 0.0f64]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let mut views = vec![
        (
            "layer.3.query",
            TensorView::new(Dtype::F64, vec![2, 2, 2], &query).unwrap(),
        ),
        ("layer.3.key", TensorView::new(Dtype::F64, vec![1, 3, 2], &key).unwrap()),
    ];
    let value = f32s(&[1.0, 2.0, 3.0]);
    views.push((
        "layer.3.value",
        TensorView::new(Dtype::F32, vec![1, 3, 1], &value).unwrap(),
    ));
    let metadata = HashMap::from([("obcache_capture".to_owned(), METADATA.to_owned())]);
    let message = refusal(&safetensors::serialize(views, Some(metadata)).unwrap());
    let expected =
        "toy.safetensors: layer.3, query head 1: query and key: the logit of query 1 and token 0 may reach 5.6";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_is_no_capture_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| Capture::read(path).unwrap_err().to_string();
    assert!(message(folder.path()).contains("is a directory"));
    assert!(message(&folder.path().join("none.safetensors")).contains("No such file"));
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    assert!(message(&text).contains("extension \"txt\""));
    let npz = folder.path().join("notes.npz");
    std::fs::write(&npz, "hello").unwrap();
    assert!(message(&npz).contains("damaged file"));
}
