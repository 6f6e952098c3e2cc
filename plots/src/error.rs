//! Why a figure cannot be drawn.

use thiserror::Error;

/// Why a figure cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlotError {
    /// A panel has nothing to show.
    #[error("{0}: no finite numbers to draw")]
    Empty(String),
    /// The drawing library refused.
    #[error("drawing: {0}")]
    Drawing(String),
    /// The SVG cannot be rasterised.
    #[error("rasterising: {0}")]
    Raster(String),
}
