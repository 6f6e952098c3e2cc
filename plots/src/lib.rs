//! Figures of the report, drawn from finished numbers; nothing here knows of attention.
//!
//! ```
//! use plots::{Bar, stacked_bars};
//!
//! let bars = [Bar { name: "layer 0".to_owned(), parts: vec![3.0, 1.0] }];
//! let figure = stacked_bars("Error", "By what it comes from.", "error", &["keys", "values"], &bars).unwrap();
//! assert!(figure.svg().starts_with("<svg") && figure.svg().contains("layer 0"));
//! ```
//!
//! | item | what it draws |
//! |---|---|
//! | [`stacked_bars`] | bars divided into shares |
//! | [`dot_rows`] | a dot a row, with its confidence interval |
//! | [`line_panels`] | lines with their bands |
//! | [`scatter_panels`] | clouds of points |
//! | [`heat_maps`] | matrices as colours |
//! | [`map_with_points`] | a function of two numbers, and where the data lie |
//! | [`Figure`] | what each of them returns: one SVG, and a PNG rasterised from that same SVG |
//!
//! The font (DejaVu Sans) travels with the program, so the same numbers give the same bytes on every machine.

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
