//! What kernels compute, right or wrong: one readable rendering of attention and saliencies in any arithmetic, and the
//! mistakes that it can be told to make.
//!
//! A [`Rendering`] rounds after every operation, so an f32 kernel is rendered to the bit. It knows neither
//! `reference-attention` nor `obcache-scores`: the truth never comes from here. It serves three ends: its honest forms
//! show that the tolerances can be met, its [`Deviation`]s show that wrong kernels are caught, and results that fail
//! are compared with them to name the bug.

mod attention;
mod contribution;
mod decode;
mod deviation;
mod kernel;
mod logits;
mod reduction;
mod rendered;
mod softmax;
mod terms;
mod visibility;

pub use decode::Decoded;
pub use deviation::Deviation;
pub use kernel::Rendering;
pub use rendered::Rendered;
