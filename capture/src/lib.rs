//! Captured queries, keys and values of a model, read from safetensors or npz, and written.
//!
//! ```
//! use capture::Capture;
//!
//! let capture = Capture::read("../captures/needle-512.safetensors".as_ref()).unwrap();
//! assert_eq!((capture.groups().num_query_heads(), capture.groups().num_kv_heads()), (6, 2));
//! // The first query head of the first captured layer, with the keys and values that it reads.
//! let head = capture.head(0, 0).unwrap();
//! assert_eq!((head.query_len(), head.kv_len(), head.head_dim()), (512, 512, 32));
//!
//! let refused = Capture::read("Cargo.toml".as_ref()).unwrap_err();
//! assert!(refused.to_string().contains("Cargo.toml"));
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`Capture`] | a capture in memory: [`Layer`]s, [`Metadata`], the heads as attention problems |
//! | [`CaptureFile`] | a capture of any length, read one KV head at a time |
//! | [`CaptureWriter`] | writes captures, in the format that [`Storage`] names |
//! | [`SafetensorsFile`] | a safetensors file, read one tensor at a time |
//! | [`CaptureError`] | what a file is refused for: the file, the tensor, what was found and what was expected |
//!
//! The format is described in `captures/README.md`. Names, dtypes, shapes, finiteness and metadata are checked once, when a file is
//! read, the headers before the numbers; after that [`Capture::head`] cannot fail but for an index.

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
