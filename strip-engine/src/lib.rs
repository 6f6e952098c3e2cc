//! The strip engine: output, every score and every exact perturbation of long caches, without n² memory.
//!
//! The trace-based scores keep one number for every pair of query and token and are the readable definition; this
//! engine yields the same sums for heads of 8 thousand to 128 thousand tokens. [`Problem`] checks its tensors once, after
//! which [`Engine::run`] cannot fail; [`Saliencies`] hold what it yields.
//!
//! ```
//! use ndarray::array;
//! use strip_engine::{Column, Engine, Problem};
//!
//! // Logits ln 1, ln 2, ln 5: weights 1/8, 2/8, 5/8 on values 8, 4, 0.
//! let (query, key, value) = (array![[1.0]], array![[0.0], [2f64.ln()], [5f64.ln()]], array![[8.0], [4.0], [0.0]]);
//! let problem = Problem::one_head(query.view(), key.view(), value.view()).unwrap();
//! let saliencies = &Engine::new().run(&problem)[0];
//! assert!((saliencies.output[[0, 0]] - 2.0).abs() < 1e-12);
//! // Evicting the first token moves the output to (2·4 + 5·0) / 7.
//! assert!((saliencies.column(Column::Removal)[0] - (2f64 - 8.0 / 7.0).powi(2)).abs() < 1e-12);
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`Engine`], [`Problem`], [`Saliencies`] | all queries of the heads that read one KV head, at the speed of matrix products |
//! | [`Decoder`], [`Cache`], [`Step`] | one new query a head over the cached tokens, at the speed of memory |
//! | [`Column`] | what is computed of every token; which score and which perturbation it holds |
//! | [`Buffers`], [`Profile`], [`Instructions`] | memory that runs hand on, where their time goes, what they compute with |
//!
//! How a strip is computed stands above [`Engine`] in `engine.rs`, how a step is in `decode.rs`.

mod block;
mod block_sums;
mod buffers;
mod cache;
mod checks;
mod columns;
mod decode;
mod element;
mod engine;
mod exp;
mod first;
mod floats;
mod instructions;
mod lanes;
mod memory;
mod packed;
mod pair;
mod pair_sums;
mod parallel;
mod partial_sums;
mod problem;
mod products;
mod profile;
mod query_terms;
#[cfg(test)]
mod reference;
mod saliencies;
mod sizes;
mod softmax;
mod step;
mod step_buffers;
mod stream;
mod strip;
mod survey;
mod sweep;
mod tensor_rows;
#[cfg(test)]
mod tests;
mod tile_columns;
mod tiling;
mod totals;
mod turns;
mod weights;

pub use buffers::Buffers;
pub use cache::Cache;
pub use columns::Column;
pub use decode::Decoder;
pub use element::Element;
pub use engine::Engine;
pub use instructions::Instructions;
pub use problem::Problem;
pub use profile::Profile;
pub use saliencies::Saliencies;
pub use step::Step;
pub use tiling::{BLOCK, HEIGHT};
