//! Why a report cannot be made.

use plots::PlotError;
use thiserror::Error;

use crate::measure::MissingCell;

/// Why a report cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A sentence needs a mean that was not measured.
    #[error(transparent)]
    Missing(#[from] MissingCell),
    /// A figure cannot be drawn.
    #[error("figure: {0}")]
    Figure(#[from] PlotError),
    /// The page's template fails.
    #[error("page: {0}")]
    Page(#[from] minijinja::Error),
    /// A table cannot be written as CSV.
    #[error("table: {0}")]
    Csv(#[from] csv::Error),
    /// A table cannot be written as JSON.
    #[error("table: {0}")]
    Json(#[from] serde_json::Error),
}
