//! LLaMA and Qwen decoders around this workspace's attention: load a checkpoint, run it, evict from its cache.
//!
//! [`Model::load`] reads a checkpoint in Hugging Face layout ([`Source`]: a folder, or the embedded `llama-tiny`).
//! [`Model::reference`] runs a prompt through `reference-attention`, explicit loops in 64 bits; [`Model::prefill`] and
//! [`Model::decode`] run it through the strip engine, which also yields every saliency, and fill a [`KvCache`] whose
//! tokens can be tracked and evicted per query head or per KV head.
//!
//! ```
//! use reference_model::{Model, Source, Tokenizer};
//!
//! let source = Source::llama_tiny();
//! let model: Model<f32> = Model::load(&source).unwrap();
//! let tokenizer = Tokenizer::load(&source, model.config()).unwrap();
//! let tokens = tokenizer.encode(" The code of river is 5260. ... The code of river is").unwrap();
//! let mut cache = model.cache();
//! let hidden = model.prefill(&tokens, &mut cache, &mut |_, _| Ok(())).unwrap();
//! let logits = model.logits(hidden.view());
//! assert_eq!(logits.dim(), (tokens.len(), 256));
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`Source`] | where a checkpoint is |
//! | [`Config`], [`Architecture`], [`Rope`] | what its `config.json` says |
//! | [`Tokenizer`] | text to token ids and back |
//! | [`Model`] | the weights, and the three ways to run them |
//! | [`Attended`] | what one layer's attention took in and gave out, with every saliency |
//! | [`KvCache`], [`LayerCache`], [`HeadCache`] | the keys and values that are remembered, to evict from |
//! | [`Number`] | the arithmetic: 32 or 64 bits |
//! | [`ModelError`] | why a checkpoint cannot be loaded or run |

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
pub use model::{Model, Observed};
pub use number::Number;
pub use source::Source;
pub use tokenizer::Tokenizer;
