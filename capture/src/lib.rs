//! Captured queries, keys and values of a model, read from safetensors or npz, and written.
//!
//! The format is described in `captures/README.md`. [`Capture::read`] checks everything once: names, dtypes, shapes,
//! finiteness and metadata, the headers before the numbers; each refusal is a [`CaptureError`] that names the file, the
//! tensor and what was expected. After that [`Capture::head`] cannot fail but for an index.

mod capture;
mod capture_file;
mod container;
mod error;
mod layout;
mod metadata;
mod npz;
mod parts;
mod safetensors_file;
mod writer;

pub use capture::{Capture, Layer};
pub use capture_file::{CaptureFile, GroupTensors, LayerShape};
pub use error::CaptureError;
pub use layout::LARGEST_CAPTURE;
pub use metadata::Metadata;
pub use safetensors_file::SafetensorsFile;
pub use writer::{CaptureWriter, Storage};
