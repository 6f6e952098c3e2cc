//! Links the OpenBLAS of the system: by pkg-config, by Homebrew, or by name.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if pkg_config::probe_library("openblas").is_ok() {
        return;
    }
    if let Some(folder) = homebrew_folder() {
        println!("cargo::rustc-link-search=native={folder}/lib");
    }
    println!("cargo::rustc-link-lib=dylib=openblas");
}

/// Homebrew keeps OpenBLAS outside the folders that linkers search.
fn homebrew_folder() -> Option<String> {
    let found = Command::new("brew").args(["--prefix", "openblas"]).output().ok()?;
    let folder = String::from_utf8(found.stdout).ok()?;
    found.status.success().then(|| folder.trim().to_owned())
}
