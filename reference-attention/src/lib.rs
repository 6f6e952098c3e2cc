//! The attention everyone can read, and what really happens to its output when a token is perturbed.
//!
//! [`attend`] computes attention by explicit loops over any [`Scalar`]: `f64`, dual numbers for exact derivatives,
//! [`HighPrecision`] for certified digits. [`oracle`] perturbs a token, attends again and subtracts.
//! Nothing here knows a closed form: agreement with `obcache-scores` is agreement of two independent witnesses.

mod attend;
mod dual;
mod float;
mod high_precision;
pub mod oracle;
mod scalar;

pub use attend::attend;
pub use high_precision::HighPrecision;
pub use scalar::Scalar;
