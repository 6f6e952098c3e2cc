//! LLaMA and Qwen decoders around the house's attention: load a checkpoint, run it, evict from its cache.
//!
//! [`Model::load`] reads a checkpoint in Hugging Face layout ([`Source`]: a folder, or the embedded `llama-tiny`).
//! [`Model::reference`] runs a prompt through `reference-attention`, explicit loops in 64 bits; [`Model::prefill`] and
//! [`Model::decode`] run it through the strip engine, which also yields every saliency, and fill a [`KvCache`] whose
//! tokens can be evicted per query head or per KV head.
//!
//! ```
//! use reference_model::{Model, Source, Tokenizer};
//!
//! let source = Source::llama_tiny();
//! let model: Model<f32> = Model::load(&source).unwrap();
//! let tokenizer = Tokenizer::load(&source, model.config()).unwrap();
//! let tokens = tokenizer.encode(" The code of river is 5260. ... The code of river is").unwrap();
//! let mut cache = model.cache();
//! let hidden = model.prefill(&tokens, &mut cache, &mut |_, _| {}).unwrap();
//! let logits = model.logits(hidden.view());
//! assert_eq!(logits.dim(), (tokens.len(), 256));
//! ```

mod attended;
mod cache;
mod config;
mod error;
mod file_config;
mod layer;
mod linear;
mod matrix;
mod model;
mod norm;
mod number;
mod rope;
mod source;
mod tensors;
mod tokenizer;

pub use attended::Attended;
pub use cache::{HeadCache, KvCache, LayerCache};
pub use config::{Architecture, Config, Rope};
pub use error::ModelError;
pub use model::Model;
pub use number::Number;
pub use source::Source;
pub use tokenizer::Tokenizer;
