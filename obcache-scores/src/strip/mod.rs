//! The strip engine: output, every score and every exact perturbation of long caches, without n² memory.
//!
//! The trace-based scores keep one number for every pair of query and token and are the readable definition; this
//! engine yields the same column sums for heads of 8 thousand to 128 thousand tokens. [`Problem`] is checked once at
//! the door, [`Engine::run`] cannot fail, and [`Saliencies`] holds what it yields. This module alone runs attention
//! in this crate.
//!
//! ```
//! use ndarray::array;
//! use obcache_scores::Score;
//! use obcache_scores::strip::{Engine, Problem};
//!
//! // Logits ln 1, ln 2, ln 5: weights 1/8, 2/8, 5/8 on values 8, 4, 0.
//! let (query, key, value) = (array![[1.0]], array![[0.0], [2f64.ln()], [5f64.ln()]], array![[8.0], [4.0], [0.0]]);
//! let problem = Problem::one_head(query.view(), key.view(), value.view()).unwrap();
//! let saliencies = &Engine::new().run(&problem)[0];
//! assert!((saliencies.output[[0, 0]] - 2.0).abs() < 1e-12);
//! // Evicting the first token moves the output to (2·4 + 5·0) / 7.
//! assert!((saliencies.score(Score::Removal)[0] - (2f64 - 8.0 / 7.0).powi(2)).abs() < 1e-12);
//! ```

mod block;
mod buffers;
mod cache;
mod columns;
mod decode;
mod element;
mod engine;
mod exp;
mod first;
mod instructions;
mod lanes;
mod memory;
mod packed;
mod pair;
mod pair_sums;
mod parallel;
mod problem;
mod products;
mod profile;
#[cfg(test)]
mod reference;
mod row;
mod saliencies;
mod softmax;
mod step;
mod stream;
mod sweep;
#[cfg(test)]
mod tests;
mod tile_columns;
mod totals;
mod turns;

pub use block::{BLOCK, HEIGHT};
pub use buffers::Buffers;
pub use cache::Cache;
pub use decode::Decoder;
pub use element::Element;
pub use engine::Engine;
pub use instructions::Instructions;
pub use problem::Problem;
pub use profile::Profile;
pub use saliencies::Saliencies;
pub use step::Step;
