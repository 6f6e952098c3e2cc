//! Why a capture is not scored, or parts are not merged.

use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use capture::CaptureError;
use obd_core::ProblemError;
use thiserror::Error;

use super::Group;

/// Why a capture is not scored, or parts are not merged.
#[derive(Debug, Error)]
pub enum ScoringError {
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The tensors of a group do not make an attention problem.
    #[error("{}: {group}: {source}", file.display())]
    Problem {
        /// The capture.
        file: PathBuf,
        /// Which group.
        group: Group,
        /// Why not.
        source: ProblemError,
    },
    /// A sum is so large that it is no number.
    #[error(
        "{}: {group}: {column} of token {token} is {sum}: the numbers of this head are too large for {precision} arithmetic",
        file.display()
    )]
    Overflow {
        /// The capture.
        file: PathBuf,
        /// Which group.
        group: Group,
        /// The column.
        column: &'static str,
        /// The token.
        token: usize,
        /// What came out.
        sum: f64,
        /// The arithmetic.
        precision: super::Precision,
    },
    /// Not even one group at a time fits.
    #[error("{}: layer {layer} needs {} at least, --memory allows {}{advice}", file.display(), ByteSize(*needed), ByteSize(*allowed))]
    Memory {
        /// The capture.
        file: PathBuf,
        /// The layer.
        layer: usize,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that were allowed.
        allowed: u64,
        /// Why so much, where there is a reason.
        advice: &'static str,
    },
    /// What was asked for does not fit the capture, or parts do not fit each other; the text names them.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user's wish; nothing was written.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// The user's wish; what was done is kept.
    #[error(
        "interrupted: {done} of {all} KV heads are done and kept in {}; the same command goes on from there",
        folder.display()
    )]
    Unfinished {
        /// Groups that are done.
        done: usize,
        /// Groups of the run.
        all: usize,
        /// Where they are kept.
        folder: PathBuf,
    },
}

impl ScoringError {
    pub(super) fn file(file: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let file = file.to_path_buf();
        move |source| Self::File { file, source }
    }
}
