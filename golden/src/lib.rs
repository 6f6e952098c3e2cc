//! Golden vectors of attention and of cache saliencies: what a kernel crate checks itself against.
//!
//! [`Suite::read`] reads the committed suite: [`Case`]s, each a [`Problem`] in the numbers a kernel is given and the
//! certified true values of its outputs ([`OutputSpec`] names and defines each), and [`DecodeTrace`]s. [`bound`] says
//! how far from them a good kernel may be, [`rendering`] what bad ones compute.

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
pub use output::{GroupReduction, OutputKind, OutputSpec, Pooling, UnknownOutput};
pub use precision::Precision;
pub use problem::Problem;
pub use suite::{Suite, sha256};
