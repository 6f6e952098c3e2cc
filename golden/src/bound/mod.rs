//! How far a good kernel may be from the truth: a forward error bound for every element, derived and not tuned.
//!
//! The whole derivation is `docs/derivations/error-bound.md` (claim C20); the names below are its names. In short: to
//! first order the error of any program is a linear form in its roundings, `Σ c_k δ_k` with `|δ_k| ≤ u`. The
//! *sensitivity* `[x] = (Σ c_k²)^½` of each result is bounded for every order of summation in terms of kv_len, head_dim,
//! value_dim, the number of queries, and the magnitudes of the problem at hand. Then
//!
//! ```text
//! tolerance = κ u [x]  +  terms of higher order in κ u  +  one rounding of the stored result  +  underflow
//! ```
//! Roundings that a program makes on different numbers are taken as independent of each other (the model of Higham and
//! Mary, 2019), those on equal numbers as equal; the chance that an element of a good kernel passes its bound is below
//! `2 exp(-3 κ² / 2)`.

mod arithmetic;
mod attention;
mod average;
mod contribution;
mod head;
mod pair;
mod saliency;
mod scalar;
mod softmax_row;
mod ties;
mod vector;

pub use arithmetic::{Arithmetic, CONFIDENCE};
pub use attention::{log_sum_exp, output};
pub use saliency::saliency;

pub(crate) use arithmetic::storing;
