//! Closed-form saliencies of cached tokens, the heuristics they replace, and selection under a budget.
//!
//! A [`Score`] turns a head and its trace into one contribution per (query, token); [`accumulate`] sums them over a
//! query window; [`Pooling`] smooths over neighbouring tokens; [`GroupReduction`] joins the query heads of one KV head;
//! [`select`] keeps the best under a budget, which [`allocation`] shares among heads; [`Tracker`] does all this along decoding, [`GroupTracker`]
//! for the query heads of one KV head as it is served. [`exact`] and [`set`] hold the
//! exact perturbations, [`projection`] what they do behind the output projection, [`greedy`] the greedy exact removal; [`field`] the other scores of
//! the field.
//! None of these runs attention; [`strip`] does, to score long caches without keeping a trace.

mod accumulate;
pub mod allocation;
mod error;
pub mod exact;
pub mod field;
pub mod greedy;
mod group;
mod group_tracker;
mod pages;
pub mod phi;
mod pooling;
pub mod projection;
pub mod quantisation;
mod rope;
mod scores;
mod selection;
pub mod set;
mod softmax_input;
mod streaming_llm;
pub mod strip;
pub mod subset;
mod survivors;
mod tracker;
mod without;

#[cfg(test)]
mod test_heads;

pub use accumulate::accumulate;
pub use error::{PolicyError, SelectionError};
pub use group::GroupReduction;
pub use group_tracker::{GroupTracker, Schedule};
pub use pages::select_pages;
pub use pooling::Pooling;
pub use rope::Rope;
pub use scores::{Score, UnknownScore};
pub use selection::{Budget, Protection, evicted, select};
pub use streaming_llm::streaming_llm;
pub use tracker::{Policy, Tracker};
