//! The attention everyone can read, and what really happens to its output when a token is perturbed.
//!
//! [`attend`] computes attention by explicit loops over any [`Scalar`]: `f64`, dual numbers for exact derivatives,
//! [`HighPrecision`] for more digits, an [`Enclosure`] ([`Ball`], [`Interval`]) for certified ones. [`oracle`] perturbs a token, attends again and subtracts.
//! Nothing here knows a closed form: agreement with `obcache-scores` is agreement of two independent witnesses.

mod attend;
mod ball;
mod dual;
mod enclosure;
mod float;
mod high_precision;
mod interval;
pub mod oracle;
mod scalar;
#[cfg(test)]
mod test_programs;

pub use attend::attend;
pub use ball::Ball;
pub use enclosure::Enclosure;
pub use high_precision::HighPrecision;
pub use interval::Interval;
pub use scalar::Scalar;
