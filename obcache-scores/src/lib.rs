//! Closed-form saliencies of cached tokens, the heuristics they replace, and selection under a budget.
//!
//! ```
//! use ndarray::array;
//! use obcache_scores::select::{Budget, Protection, select};
//! use obcache_scores::{Score, accumulate};
//! use obd_core::{AttentionTrace, Head, QueryWindow};
//!
//! // Logits ln 1, ln 2, ln 5: weights 1/8, 2/8, 5/8 on values 8, 4, 0.
//! let head = Head::new(array![[1.0]], array![[0.0], [2f64.ln()], [5f64.ln()]], array![[8.0], [4.0], [0.0]]).unwrap();
//! let trace = AttentionTrace {
//!     logits: array![[0.0, 2f64.ln(), 5f64.ln()]],
//!     weights: array![[0.125, 0.25, 0.625]],
//!     output: array![[2.0]],
//!     log_sum_exp: array![8f64.ln()],
//! };
//! let saliency = accumulate(&Score::Removal.contributions(&head, &trace), QueryWindow::All);
//! // Evicting the middle token moves the output by (2/6)·2, the others by (1/7)·6 and (5/3)·2.
//! let kept = select(&saliency, Budget::Tokens(2), Protection::default()).unwrap();
//! assert_eq!(kept, [0, 2]);
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`Score`] | the scores of OBCache, exact removal, gauge-fixed variants, the summed weight; [`accumulate`] sums them over queries |
//! | [`field`] | the other scores of the field |
//! | [`exact`] | the exact perturbations of tokens and sets, alone and behind the output projection |
//! | [`select`] | rankings under a budget, sets, budgets across heads and layers, pages |
//! | [`serve`] | the saliencies of a cache along prefill and decoding |
//! | [`bits`] | bits for tokens and channels instead of eviction |
//!
//! None of these runs attention: they read the [`AttentionTrace`](obd_core::AttentionTrace) of who did.

pub mod bits;
mod error;
pub mod exact;
pub mod field;
mod scores;
pub mod select;
pub mod serve;

#[cfg(test)]
mod test_heads;

pub use error::{PolicyError, SelectionError};
pub use scores::{Score, UnknownScore, accumulate};
