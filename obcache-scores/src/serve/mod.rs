//! A cache as it is served: saliencies accumulate over prefill and decoding, and tokens are evicted as they go.
//!
//! A [`Policy`] says what is scored and what is kept; a [`Tracker`] follows it for the query heads that share a cache.

mod policy;
mod traces;
mod tracker;

pub use policy::Policy;
pub use tracker::Tracker;
