//! The Rust files of this workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::root;

/// The folders of the crates.
pub fn crates() -> Vec<String> {
    let folders = fs::read_dir(root()).expect("the workspace is a folder");
    let folders = folders.map(|folder| folder.expect("the workspace can be listed").path());
    let mut crates: Vec<String> = folders
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    crates.sort();
    crates
}

/// The text of every Rust file below `folder` by its path from there, with `/` between folders; none where there is no such folder.
pub fn rust_files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    add_files(folder, "", &mut files);
    files
}

fn add_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder of the workspace can be listed").path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            add_files(&path, &format!("{name}/"), files);
        } else if name.ends_with(".rs") {
            files.insert(name, fs::read_to_string(&path).expect("a source file is text"));
        }
    }
}
