//! Captured queries, keys and values of a model, read from safetensors or npz.
//!
//! The format is described in `captures/README.md`. [`Capture::read`] checks everything once: names, dtypes, shapes,
//! finiteness and metadata; each refusal is a [`CaptureError`] that names the file, the tensor and what was expected.
//! After that [`Capture::head`] cannot fail but for an index.

mod capture;
mod error;
mod metadata;
mod npz;
mod safetensors_file;
mod tensor;

pub use capture::{Capture, Layer};
pub use error::CaptureError;
pub use metadata::Metadata;
