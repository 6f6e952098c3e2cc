//! The attention everyone can read, and what really happens to its output when a token is perturbed.
//!
//! ```
//! use ndarray::array;
//! use obd_core::{Head, Perturbation, QueryWindow};
//! use reference_attention::{attend, oracle};
//!
//! // Logits ln 1, ln 2, ln 5: weights 1/8, 2/8, 5/8 on values 8, 4, 0.
//! let head = Head::new(array![[1.0]], array![[0.0], [2f64.ln()], [5f64.ln()]], array![[8.0], [4.0], [0.0]]).unwrap();
//! assert!((attend(&head).output[[0, 0]] - 2.0).abs() < 1e-12);
//!
//! // Without its first token the head outputs (2·4 + 5·0) / 7.
//! let change = oracle::removal(&head, 0);
//! assert!((change[[0, 0]] - (8.0 / 7.0 - 2.0)).abs() < 1e-12);
//! let errors = oracle::token_errors(&head, Perturbation::Removal, QueryWindow::All);
//! assert!((errors[0] - change[[0, 0]].powi(2)).abs() < 1e-12);
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`attend`] | attention by explicit loops, in any [`Scalar`] |
//! | [`oracle`] | brute force: change the cache, attend again, subtract |
//! | [`Scalar`] | the arithmetic: `f64`, the dual numbers of `num_dual` for exact derivatives, and those below |
//! | [`HighPrecision`] | some hundred decimal digits |
//! | [`Enclosure`], [`Ball`], [`Interval`] | numbers that carry a bound of their own error, for certified digits |
//!
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
