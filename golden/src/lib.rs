//! Golden vectors of attention and of cache saliencies: what a kernel crate checks itself against.
//!
//! ```
//! use golden::check::{self, Values};
//! use golden::rendering::Rendering;
//! use golden::{Precision, Suite};
//!
//! let mut suite = Suite::read(std::path::Path::new("../vectors")).unwrap();
//! suite.cases.retain(|case| case.family == "plain");
//!
//! // A kernel is a closure from a case and an output to numbers. This one attends in f32, tile by tile, as a good kernel does.
//! let kernel = Rendering::online(Precision::F32, 8);
//! let report = check::run(&suite, Precision::F32, |case, output| {
//!     let numbers = kernel.render(&case.problem, output);
//!     Some(Values { numbers, stored: Precision::F32 })
//! });
//! let report = report.unwrap();
//! assert!(report.passed(), "{report}");
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`Suite`] | the committed suite: its [`Case`]s and [`DecodeTrace`]s |
//! | [`Case`] | a [`AttentionProblem`] in the numbers a kernel is given, and the certified true values of its outputs |
//! | [`OutputSpec`] | the outputs by name, each with its formula and shape |
//! | [`mod@check`] | judges a kernel and names the bug that it looks like |
//! | [`conformance!`](conformance) | a `#[test]` for every case, in one line |
//! | [`bound`] | how far from the truth a good kernel may be |
//! | [`rendering`] | what kernels compute, right or wrong |
//! | [`manifest`] | the suite's manifest, `vectors/manifest.json` |

pub mod bound;
mod case;
pub mod check;
mod dtype;
mod entry;
mod error;
pub mod manifest;
mod mask;
mod output;
mod precision;
mod problem;
pub mod rendering;
mod suite;
mod tensors;

pub use bound::Arithmetic;
pub use case::{Case, DecodePolicy, DecodeTrace, Output, Twin, TwinRelation};
pub use dtype::Dtype;
pub use error::SuiteError;
pub use golden_macros::conformance;
pub use mask::{Mask, Segments};
pub use obd_core::{GroupReduction, Pooling, QueryWindow};
pub use output::{OutputKind, OutputSpec, UnknownOutput};
pub use precision::Precision;
pub use problem::AttentionProblem;
pub use suite::{Suite, sha256};
