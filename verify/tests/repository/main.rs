//! The repository holds together: arrows point one way, the ledger names what exists, the book has no dead link, each crate says what it holds.

mod book;
mod crate_arrows;
mod crate_heads;
mod documented;
mod ledger;
mod module_graph;
mod rust_files;
mod test_code;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
