//! What is read and what is refused.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use capture::{Capture, CaptureError, CaptureFile};
use ndarray::{Axis, s};
use obd_core::QueryWindow;
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const METADATA: &str = r#"{"version": 1, "model": "toy", "scale": 0.5, "causal": true, "num_query_heads": 2,
    "num_kv_heads": 1, "head_dim": 2, "value_dim": 1, "sinks": [0.5, 1.5], "sliding_window": 2, "softcap": 30.0}"#;

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A small capture of two query heads over three tokens; `change` may spoil a tensor: (name, dtype, shape, bytes).
fn bytes(change: Option<(&str, Dtype, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut tensors = vec![
        (
            "layer.3.query",
            Dtype::F32,
            vec![2, 2, 2],
            f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        ),
        ("layer.3.key", Dtype::F32, vec![1, 3, 2], f32s(&[0.5; 6])),
        ("layer.3.value", Dtype::F32, vec![1, 3, 1], f32s(&[1.0, 2.0, 3.0])),
    ];
    if let Some(change) = change {
        tensors.retain(|tensor| tensor.0 != change.0);
        if !change.2.is_empty() {
            tensors.push(change);
        }
    }
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()))
        .collect();
    let metadata = HashMap::from([("obcache_capture".to_owned(), METADATA.to_owned())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Capture, CaptureError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Capture::read(&path)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

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

/// A file whose header is the given text.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
}

#[test]
fn hostile_headers_are_refused() {
    for header in [
        r#"{"layer.0.query":{"dtype":"F32","shape":[2],"data_offsets":[0,999]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#,
        r#"{"layer.0.query":{"dtype":"F64","shape":[1152921504606846976,1152921504606846976],"data_offsets":[0,16]}}"#,
        r#"{"layer.0.query":{"dtype":"Q7","shape":[4],"data_offsets":[0,16]}}"#,
        "not json",
    ] {
        assert!(refusal(&with_header(header)).contains("damaged file"), "{header}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&with_header(&deep)).contains("damaged file"));
    assert!(refusal(&[0xff; 32]).contains("damaged file"));
    assert!(refusal(&[]).contains("damaged file"));
    let no_metadata = with_header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#);
    assert!(refusal(&no_metadata).contains("metadata obcache_capture: is missing"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_never_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let whole = bytes(None);
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] = byte;
        let _ = read(&flipped);
        prop_assert!(read(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn a_damaged_npz_never_panics(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = std::fs::read(repository("capture/tests/numpy/toy.npz")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.npz");
        std::fs::write(&path, bytes).unwrap();
        let _ = Capture::read(&path);
    }
}

/// An npz file of these arrays: name, header's shape, bytes after the header; dtype `<f4`.
fn npz(arrays: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let metadata = format!("{METADATA:128}");
    let entries = arrays.iter().map(|(name, shape, bytes)| (*name, "<f4", *shape, *bytes));
    let text = format!("({},)", metadata.len());
    let metadata = [("obcache_capture", "|u1", text.as_str(), metadata.as_bytes())];
    for (name, dtype, shape, bytes) in entries.chain(metadata) {
        let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
        zip.start_file(format!("{name}.npy"), zip::write::FileOptions::default())
            .unwrap();
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn npz_refusal(arrays: &[(&str, &str, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.npz");
    std::fs::write(&path, npz(arrays)).unwrap();
    Capture::read(&path).unwrap_err().to_string()
}

#[test]
fn an_npz_that_inflates_without_end_is_refused_by_its_header() {
    let (query, key) = (f32s(&[0.0; 8]), f32s(&[0.0; 6]));
    let honest = |value: (&'static str, &'static str, &'static [u8])| {
        npz_refusal(&[
            ("layer.0.query", "(2, 2, 2)", &query),
            ("layer.0.key", "(1, 3, 2)", &key),
            value,
        ])
    };
    // 2^40 numbers that agree with nothing, then 2^31 and 2^60 that agree with the metadata.
    let message = honest(("layer.0.value", "(1, 1099511627776, 1)", &[0; 64]));
    assert!(
        message.contains("layer.0.value: shape [1, 1099511627776, 1], expected [1, 3, 1]"),
        "{message}"
    );
    for tokens in ["2147483648", "1152921504606846976"] {
        let (key, value) = (format!("(1, {tokens}, 2)"), format!("(1, {tokens}, 1)"));
        let message = npz_refusal(&[
            ("layer.0.query", "(2, 2, 2)", &query),
            ("layer.0.key", &key, &[0; 64]),
            ("layer.0.value", &value, &[0; 64]),
        ]);
        let expected = format!("layer.0.key: shape [1, {tokens}, 2], expected at most 1073741824 numbers");
        assert!(message.contains(&expected), "{message}");
    }
    // A header that promises more than the entry holds.
    let message = honest(("layer.0.value", "(1, 3, 1)", &[0; 8]));
    assert!(message.contains("layer.0.value: element 2: "), "{message}");
}

#[test]
fn zeros_behind_the_promised_numbers_are_not_read() {
    // 256 MiB of zeros deflate to 256 KiB; what the shape promises is all that is inflated.
    let (query, key) = (f32s(&[0.0; 8]), f32s(&[0.0; 6]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.npz");
    let zeros = vec![0; 256 << 20];
    let arrays: [(&str, &str, &[u8]); 3] = [
        ("layer.0.query", "(2, 2, 2)", &query),
        ("layer.0.key", "(1, 3, 2)", &key),
        ("layer.0.value", "(1, 3, 1)", &zeros),
    ];
    std::fs::write(&path, npz(&arrays)).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    assert_eq!(Capture::read(&path).unwrap().layers()[0].value.len(), 3);
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
fn one_kv_head_at_a_time_is_what_the_whole_file_holds() {
    let files = [
        "captures/needle-512.safetensors",
        "captures/text-384.safetensors",
        "captures/recall-480.safetensors",
    ];
    for file in files {
        let path = repository(file);
        let (whole, open) = (Capture::read(&path).unwrap(), CaptureFile::open(&path).unwrap());
        assert!(open.fits_f32() && open.metadata() == whole.metadata());
        assert_eq!(open.layers().count(), whole.layers().len());
        for (layer, shape) in whole.layers().iter().zip(open.layers()) {
            assert_eq!((shape.index, shape.kv_len), (layer.index, layer.key.len_of(Axis(1))));
            for kv_head in 0..2 {
                let wide = open
                    .group(layer.index, kv_head, QueryWindow::All, |number| number)
                    .unwrap();
                let (heads, last) = (3 * kv_head..3 * kv_head + 3, shape.query_len - 7);
                assert_eq!(wide.query, layer.query.slice(s![heads.clone(), .., ..]));
                assert_eq!(wide.key, layer.key.index_axis(Axis(0), kv_head));
                assert_eq!(wide.value, layer.value.index_axis(Axis(0), kv_head));
                let narrow = open.group(layer.index, kv_head, QueryWindow::Last(7), |number| number as f32);
                let narrow = narrow.unwrap().query.map(|&number| f64::from(number));
                assert_eq!(narrow, layer.query.slice(s![heads, last.., ..]));
            }
        }
    }
}

#[test]
fn one_kv_head_of_an_npz_is_what_the_whole_file_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numpy/toy.npz");
    let (whole, open) = (Capture::read(&path).unwrap(), CaptureFile::open(&path).unwrap());
    let layer = &whole.layers()[0];
    let groups = whole.groups();
    for kv_head in 0..groups.num_kv_heads() {
        let group = open
            .group(layer.index, kv_head, QueryWindow::Last(1), |number| number)
            .unwrap();
        let last = layer.query.len_of(Axis(1)) - 1;
        assert_eq!(
            group.query,
            layer.query.slice(s![groups.query_heads(kv_head), last.., ..])
        );
        assert_eq!(group.key, layer.key.index_axis(Axis(0), kv_head));
        assert_eq!(group.value, layer.value.index_axis(Axis(0), kv_head));
    }
}

#[test]
fn a_head_that_is_not_there_and_a_number_that_is_none_are_named() {
    let spoilt = ("layer.3.value", Dtype::F32, vec![1, 3, 1], f32s(&[1.0, 2.0, f32::NAN]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    std::fs::write(&path, bytes(Some(spoilt))).unwrap();
    let open = CaptureFile::open(&path).unwrap();
    let refusal = |layer, kv_head| {
        let read = open.group(layer, kv_head, QueryWindow::All, |number| number);
        read.unwrap_err().to_string()
    };
    assert!(
        refusal(3, 0).ends_with("toy.safetensors: layer.3.value: element [0, 2, 0] is NaN, expected a finite number")
    );
    assert!(refusal(3, 1).ends_with("layer.3.key: has no KV head 1, expected one below 1"));
    assert!(refusal(4, 0).ends_with("layer.4.query: is missing"));
}
