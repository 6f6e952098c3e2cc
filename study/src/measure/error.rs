//! Why a measurement fails.

use capture::CaptureError;
use ndarray_linalg::error::LinalgError;
use obcache_scores::SelectionError;
use thiserror::Error;

/// Why a measurement failed.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// A head cannot be built.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A saliency cannot be ranked.
    #[error("capture {capture}, layer {layer}, KV head {head}: {source}")]
    Selection {
        /// Name of the capture.
        capture: String,
        /// Layer of the model.
        layer: usize,
        /// KV head.
        head: usize,
        /// Why not.
        source: SelectionError,
    },
    /// A saliency cannot be ranked across heads.
    #[error("capture {capture}, budgets across heads: {source}")]
    Budgets {
        /// Name of the capture.
        capture: String,
        /// Why not.
        source: SelectionError,
    },
    /// One head cannot be measured.
    #[error("capture {capture}, layer {layer}, head {head}: {reason}")]
    Head {
        /// Name of the capture.
        capture: String,
        /// Layer of the model.
        layer: usize,
        /// Query head.
        head: usize,
        /// Why not.
        reason: String,
    },
    /// A head whose keys cannot be shifted.
    #[error(transparent)]
    Problem(#[from] obd_core::ProblemError),
}

/// Why one head cannot be measured.
#[derive(Debug, Error)]
pub(super) enum HeadError {
    /// A saliency cannot be ranked.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// LAPACK does not converge.
    #[error(transparent)]
    Linalg(#[from] LinalgError),
}
