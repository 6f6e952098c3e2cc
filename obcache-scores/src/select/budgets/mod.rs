//! How many tokens each head or layer may keep, apart from which: every way to share a budget goes with every score.
//!
//! | budgets | look at | source |
//! |---|---|---|
//! | [`uniform`] | nothing | |
//! | [`pyramid_kv`] | the layer's place | 2406.02069 |
//! | [`ada_kv`] | any score, across heads | 2407.11550 |
//! | [`water_filling`] | any score, across heads | optimal for exact errors under the additive model |
//!
//! The result is one budget per head (or layer); [`select`](crate::select) spends it. Comparing scores across heads assumes that
//! they are on one scale: exact errors are, ranks and shares of a head's own sum are not.

mod ada_kv;
mod pyramid_kv;
mod uniform;
mod water_filling;

pub use ada_kv::ada_kv;
pub use pyramid_kv::pyramid_kv;
pub use uniform::uniform;
pub use water_filling::{additive_error, water_filling};
