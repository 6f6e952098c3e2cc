//! The vocabulary of one attention head, and the Optimal Brain Damage theory of its key-value cache.
//!
//! Vocabulary: [`Head`] (the problem, checked once at the door), [`Visibility`] (who sees whom),
//! [`Softcap`], [`AttentionTrace`] (what attention computed), [`HeadGroups`] (which query heads share a KV head),
//! [`QueryWindow`] (over which queries one sums) and [`Perturbation`] (what is done to a token).
//! Theory: [`objective`], [`Direction`] (a change of keys and values), [`jacobian`], [`gram`], and behind the feature
//! `lapack` the modules `spectrum` and `obs` (Optimal Brain Surgeon).
//! No function here runs attention: `reference-attention` does, and everything else reads its trace.

#[cfg(feature = "lapack")]
extern crate openblas_src as _;

mod direction;
mod door;
mod error;
pub mod gram;
mod grouped;
mod groups;
mod head;
pub mod jacobian;
mod objective;
#[cfg(feature = "lapack")]
pub mod obs;
mod perturbation;
mod softcap;
#[cfg(feature = "lapack")]
pub mod spectrum;
#[cfg(test)]
mod test_heads;
mod trace;
mod visibility;
mod window;

pub use direction::Direction;
pub use door::LIMIT;
pub use error::{ProblemError, check_axis, check_finite};
pub use grouped::grouped_heads;
pub use groups::HeadGroups;
pub use head::Head;
pub use objective::objective;
pub use perturbation::Perturbation;
pub use softcap::Softcap;
pub use trace::AttentionTrace;
pub use visibility::{Band, Visibility};
pub use window::QueryWindow;
