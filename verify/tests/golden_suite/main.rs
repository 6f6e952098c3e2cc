//! The committed golden suite: what it holds, and the bound that judges kernels by it.

mod bound;
mod suite;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use golden::Suite;

static SUITE: LazyLock<Suite> =
    LazyLock::new(|| Suite::read(&vectors()).unwrap_or_else(|error| panic!("the committed suite: {error}")));

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn vectors() -> PathBuf {
    root().join("vectors")
}
