//! The other endpoint of eviction: how many bits every cached token and every key channel deserves.
//!
//! [`weights`] says what a unit of noise on a stored number costs the output, from the same Jacobian as the scores (RDKV,
//! arXiv 2605.08317, whose eviction is a token of 0 bits); [`quantiser`] rounds as caches do; [`allocation`] spends a budget of
//! bits at the best price (claim C21); [`cache_model`] does it for the keys and values of one KV head, and [`storage`] is what
//! comes out. Budgets of tokens are those of [`select`](crate::select).

pub mod allocation;
pub mod cache_model;
pub mod quantiser;
pub mod storage;
pub mod weights;
