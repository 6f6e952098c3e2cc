//! Why a file is not a capture.

use std::path::PathBuf;

use obd_core::ProblemError;
use thiserror::Error;

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
    #[error("{}: {source}", file.display())]
    Problem {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: ProblemError,
    },
}
