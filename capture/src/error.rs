//! Why a file is not a capture.

use std::path::{Path, PathBuf};

use obd_core::ProblemError;
use thiserror::Error;

use crate::container::ReadError;

/// Why a file is not a capture; every variant names the file.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a regular file, or of another kind than .safetensors and .npz.
    #[error("{}: {found}, expected a .safetensors or .npz file", file.display())]
    Kind {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
    },
    /// The container is damaged: a truncated or hostile header, offsets past the end, lengths that do not add up.
    #[error("{}: damaged file: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// The metadata entry is missing or says something that cannot be.
    #[error("{}: metadata obcache_capture: {reason}", file.display())]
    Metadata {
        /// The file.
        file: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// A tensor is missing, misshapen, of an unknown dtype or not finite.
    #[error("{}: {tensor}: {reason}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// The tensors of a head do not make an attention problem.
    #[error("{}: {place}: {source}", file.display())]
    Problem {
        /// The file.
        file: PathBuf,
        /// The layer and the query head, or the metadata.
        place: String,
        /// Why not.
        source: ProblemError,
    },
}

impl CaptureError {
    pub(crate) fn reading(file: &Path, error: ReadError) -> Self {
        let file = file.to_path_buf();
        match error {
            ReadError::Io(source) => Self::Io { file, source },
            ReadError::Damaged(reason) => Self::Damaged { file, reason },
            ReadError::Tensor { tensor, reason } => Self::Tensor { file, tensor, reason },
        }
    }

    pub(crate) fn problem(file: &Path, place: &str, source: ProblemError) -> Self {
        Self::Problem {
            file: file.to_path_buf(),
            place: place.to_owned(),
            source,
        }
    }
}
