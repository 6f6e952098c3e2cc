//! The reference model on real checkpoints: its logits, its caches, and the files that it refuses.

mod bad_checkpoints;
mod eviction;
mod transformers;

use std::path::{Path, PathBuf};

/// The folder of small checkpoints.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
