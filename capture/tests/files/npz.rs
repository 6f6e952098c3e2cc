//! An npz whose header promises other than what it holds.

use std::io::Write;

use capture::Capture;

use crate::{METADATA, f32s};

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
