//! Figures of the report, drawn from finished numbers; nothing here knows of attention.
//!
//! Every drawing function returns a [`Figure`]: one SVG, and a PNG rasterised from that same SVG. The font (DejaVu Sans)
//! travels with the program, so the same numbers give the same bytes on every machine.

mod bars;
mod canvas;
mod dots;
mod error;
mod figure;
mod heat;
mod lines;
mod map;
mod scatter;

pub use bars::{Bar, stacked_bars};
pub use dots::{DotRow, dot_rows};
pub use error::PlotError;
pub use figure::Figure;
pub use heat::{HeatPanel, heat_maps};
pub use lines::{LineAxes, LinePanel, Series, line_panels};
pub use map::{Map, map_with_points};
pub use scatter::{ScatterAxes, ScatterPanel, scatter_panels};
