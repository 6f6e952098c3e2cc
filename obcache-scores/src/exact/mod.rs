//! The exact perturbations: what really happens to the output when tokens are perturbed, in closed form.
//!
//! [`contributions`] and [`perturbation`] are those of one token (claim C8), [`set`] removes several at once (claim C13),
//! [`projection`] looks behind the output projection (claim C17), [`phi`] is the ratio of exact key zeroing to its first order
//! (claim C10).

pub mod phi;
pub mod projection;
pub mod set;
pub(crate) mod softmax_input;
pub(crate) mod survivors;
mod token;
pub(crate) mod without;

pub use token::{contributions, gain, perturbation};
