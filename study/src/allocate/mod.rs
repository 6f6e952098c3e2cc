//! From a capture to bits: what each token and key channel of every KV head gets, and what it costs the output, by the
//! model and in truth.

mod figure;
mod files;
mod measure;
mod tables;

pub use crate::place::Place;
pub use files::files;
pub use measure::{BitAllocations, BitsError, Options, Rate, Spending, Stored, run};
pub use tables::summary;
