//! Numbers that others computed: the vector files of a folder beside the tests, or of one that an environment variable names.

mod kvpress;
mod kvpress_calls;
mod published;

use std::path::{Path, PathBuf};

/// The safetensors files of the folder named by `variable`, else of `own` beside the tests, in the order of their names; there
/// is at least one.
fn vector_files(variable: &str, own: &str) -> Vec<PathBuf> {
    let folder = match std::env::var_os(variable) {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(own),
    };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(!files.is_empty(), "{}: no .safetensors file", folder.display());
    files
}
