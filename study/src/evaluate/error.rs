//! Why an evaluation fails.

use std::path::Path;

use obcache_scores::PolicyError;
use obd_core::ProblemError;
use reference_model::ModelError;
use thiserror::Error;

/// Why an evaluation fails.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The model refuses a document.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What a layer computed is no attention problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// A saliency is not a number.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A part cannot be written.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A part cannot be put into JSON.
    #[error("part: {0}")]
    Json(#[from] serde_json::Error),
    /// The folder holds parts of other settings.
    #[error("{0}: holds parts of an evaluation with other settings; delete it or choose another --out")]
    OtherPlan(String),
    /// The user asked to stop.
    #[error("interrupted; finished documents are kept, the same command goes on from them")]
    Interrupted,
}

impl EvaluateError {
    pub(super) fn file(file: &Path, reason: &std::io::Error) -> Self {
        Self::File {
            file: file.display().to_string(),
            reason: reason.to_string(),
        }
    }
}
