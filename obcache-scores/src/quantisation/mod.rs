//! The other endpoint of eviction: how many bits every cached token and every key channel deserves.
//!
//! [`weights`] says what a unit of noise on a stored number costs the output, from the same Jacobian as the scores (RDKV,
//! arXiv 2605.08317, whose eviction is a token of 0 bits); [`quantiser`] rounds as caches do; [`allocation`] spends a budget at
//! the best price (claim C21); [`cache`] does it for the keys and values of one KV head.

pub mod allocation;
pub mod cache;
pub mod quantiser;
pub mod weights;
