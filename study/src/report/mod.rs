//! The report: a page, its figures and all numbers, rendered in memory and written when all of it stands.

mod answer;
mod choice;
mod error;
mod figures;
mod files;
mod findings;
mod page;
mod page_tables;
mod tables;
mod terminal;
mod words;

pub use error::ReportError;
pub use files::{Report, render};
pub use terminal::terminal_summary;
