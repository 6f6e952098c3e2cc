//! Brute force: change the cache, attend again, subtract.
//!
//! Each function returns the perturbation, the change of the output (perturbed minus original), shape
//! (query_len, value_dim). No closed form is used, so these numbers can judge every one of them (claim C8).

mod error;
mod removal;
mod replacement;
#[cfg(test)]
mod test_heads;
mod zeroing;

pub use error::{error, perturbation, token_errors};
pub use removal::{removal, set_removal};
pub use replacement::{key_replacement, value_replacement};
pub use zeroing::{joint_zeroing, key_zeroing, value_zeroing};

use ndarray::Array2;
use obd_core::Head;

use crate::{Scalar, attend};

/// Output of `perturbed` minus output of `original`.
fn change<S: Scalar>(original: &Head<S>, perturbed: &Head<S>) -> Array2<S> {
    let before = attend(original).output;
    let after = attend(perturbed).output;
    Array2::from_shape_fn(before.dim(), |at| after[at].clone() - before[at].clone())
}
