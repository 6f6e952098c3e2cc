//! The vocabulary of one attention head, and the Optimal Brain Damage theory of its key-value cache.
//!
//! Vocabulary: [`Head`] (the problem, checked once at the door), [`Visibility`] (who sees whom),
//! [`Softcap`], [`AttentionTrace`] (what attention computed), [`HeadGroups`] (which query heads share a KV head),
//! [`QueryWindow`] (over which queries one sums) and [`Perturbation`] (what is done to a token).
//! No function here runs attention: `reference-attention` does, and everything else reads its trace.

mod error;
mod groups;
mod head;
mod perturbation;
mod softcap;
mod trace;
mod visibility;
mod window;

pub use error::ProblemError;
pub use groups::HeadGroups;
pub use head::Head;
pub use perturbation::Perturbation;
pub use softcap::Softcap;
pub use trace::AttentionTrace;
pub use visibility::Visibility;
pub use window::QueryWindow;
