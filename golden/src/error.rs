//! What can be wrong with a suite, told with the file, the case and the tensor.

use std::path::PathBuf;

use obd_core::ProblemError;
use thiserror::Error;

/// Why a suite cannot be read.
#[derive(Debug, Error)]
pub enum SuiteError {
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The manifest is no manifest of this format.
    #[error("{}: {reason}", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// What is wrong, with the line and the field where known.
        reason: String,
    },
    /// A file is not the one that the manifest was written with.
    #[error("{}: SHA-256 {found}, the manifest says {expected}", file.display())]
    Digest {
        /// The file.
        file: PathBuf,
        /// Its digest.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// A file is no safetensors file.
    #[error("{}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What its reader said.
        reason: String,
    },
    /// A tensor is missing or not what the manifest says.
    #[error("{}: {tensor}: {reason}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The tensors of a case are no attention problem.
    #[error("{case}: {source}")]
    Problem {
        /// The case.
        case: String,
        /// What is wrong.
        source: ProblemError,
    },
}
