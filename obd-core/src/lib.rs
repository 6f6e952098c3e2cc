//! The vocabulary of one attention head, and the Optimal Brain Damage theory of its key-value cache.
//!
//! ```
//! use ndarray::array;
//! use obd_core::{Head, ProblemError, QueryWindow, objective};
//!
//! // Two new queries over a cache of three tokens: the first query is at the second token and does not see the third.
//! let (query, key, value) = (array![[1.0], [1.0]], array![[0.0], [1.0], [2.0]], array![[8.0], [4.0], [0.0]]);
//! let head = Head::new(query, key.clone(), value).unwrap();
//! assert!(head.visibility().visible(1, 2) && !head.visibility().visible(0, 2));
//!
//! // What eviction is judged by: how far the outputs of the queries move.
//! let (before, after) = (array![[2.0], [1.0]], array![[2.0], [4.0]]);
//! assert_eq!(objective(&before, &after, QueryWindow::All), 9.0);
//!
//! // Whatever passes `Head::new` can be computed with; the rest is refused with the axis and both numbers.
//! let refused = Head::new(array![[1.0]], key, array![[8.0]]).unwrap_err();
//! assert!(matches!(refused, ProblemError::Axis { tensor: "value", axis: "kv_len", found: 1, expected: 3, .. }));
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`Head`], [`AttentionSpec`] | query, key and value of one head; its scale, mask, soft-cap, sink and bias |
//! | [`grouped_heads`], [`HeadGroups`] | the heads of a layer, and which query heads share a KV head |
//! | [`Visibility`] | which query sees which token |
//! | [`Softcap`] | the bound on the logits |
//! | [`AttentionTrace`] | logits, weights, output and log-sum-exp of a head |
//! | [`QueryWindow`], [`Pooling`], [`GroupReduction`] | the queries that are summed, and what is done to the sums |
//! | [`Perturbation`] | what is done to a token: removal, key zeroing, value zeroing, joint zeroing |
//! | [`Direction`], [`objective`], [`jacobian`], [`gram`] | the theory: a change of keys and values, its error, its first order, its sum over a set |
//! | `spectrum`, `obs` | with the feature `lapack`: the rank of the Gram matrix, and Optimal Brain Surgeon |
//! | [`ProblemError`] | what a problem is refused for |
//!
//! No function here runs attention: `reference-attention` and `strip-engine` do, and everything else reads a trace.

#[cfg(feature = "lapack")]
extern crate openblas_src as _;

mod check;
mod direction;
mod error;
pub mod gram;
mod group_reduction;
mod grouped;
mod groups;
mod head;
pub mod jacobian;
mod limits;
mod objective;
#[cfg(feature = "lapack")]
pub mod obs;
mod perturbation;
mod pooling;
mod slots;
mod softcap;
#[cfg(feature = "lapack")]
pub mod spectrum;
#[cfg(test)]
mod test_heads;
mod trace;
mod visibility;
mod window;

pub use check::{check_axis, check_finite};
pub use direction::Direction;
pub use error::{ProblemError, UnknownName};
pub use group_reduction::GroupReduction;
pub use grouped::grouped_heads;
pub use groups::HeadGroups;
pub use head::{AttentionSpec, Head};
pub use limits::LIMIT;
pub use objective::objective;
pub use perturbation::Perturbation;
pub use pooling::Pooling;
pub use slots::{SlotsError, check_slots};
pub use softcap::Softcap;
pub use trace::AttentionTrace;
pub use visibility::{Band, Visibility};
pub use window::QueryWindow;
