//! Every claim has a test and every test that carries a claim's number is in the ledger.

use std::fs;
use std::path::Path;

use verify::ledger::{CLAIMS, faults, parse};

/// All functions of the workspace's Rust files under `folder`, as `path::name` from `root`.
fn functions(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            for line in fs::read_to_string(&path).unwrap().lines() {
                if let Some((name, _)) = line.trim().strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
                    found.push(format!("{file}::{name}"));
                }
            }
        }
    }
}

#[test]
fn every_claim_has_its_tests_and_every_test_its_claim() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for member in [
        "obd-core",
        "reference-attention",
        "obcache-scores",
        "golden",
        "golden-macros",
        "capture",
        "plots",
        "reference-model",
        "verify",
    ] {
        for folder in ["src", "tests"] {
            let folder = root.join(member).join(folder);
            if folder.is_dir() {
                functions(root, &folder, &mut found);
            }
        }
    }
    let claims = parse(CLAIMS);
    assert!(claims.len() >= 19, "the ledger holds {} claims", claims.len());
    assert_eq!(faults(&claims, &found), Vec::<String>::new());
}
