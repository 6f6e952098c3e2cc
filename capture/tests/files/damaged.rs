//! Damaged and hostile files are refused, and never panic.

use capture::Capture;
use proptest::prelude::*;
use proptest::test_runner::{TestRunner, contextualize_config};

use crate::{bytes, read, refusal, repository};

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

/// Tries `law` on 256 random inputs; where it fails, panics with the smallest input found that breaks it.
#[track_caller]
fn for_all<S: Strategy>(inputs: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(contextualize_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    }));
    if let Err(broken) = runner.run(&inputs, law) {
        panic!("{broken}\n{runner}");
    }
}

#[test]
fn a_damaged_file_never_panics() {
    let inputs = (any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>());
    for_all(inputs, |(at, byte, cut)| {
        let whole = bytes(None);
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] = byte;
        let _ = read(&flipped);
        prop_assert!(read(&whole[..cut.index(whole.len())]).is_err());
        Ok(())
    });
}

#[test]
fn a_damaged_npz_never_panics() {
    for_all((any::<prop::sample::Index>(), any::<u8>()), |(at, byte)| {
        let mut bytes = std::fs::read(repository("capture/tests/numpy/toy.npz")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.npz");
        std::fs::write(&path, bytes).unwrap();
        let _ = Capture::read(&path);
        Ok(())
    });
}
