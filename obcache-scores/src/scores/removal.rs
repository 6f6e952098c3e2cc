//! The removal score is what eviction really does to the output, one token at a time.
//!
//! ```text
//! sum_i (a_ij / (1 - a_ij))² ‖v_j - o_i‖² = sum_i a_ij² ‖v_j - o'_ij‖²        exact (C12); also known as DropKV
//! ```
//! with o' the output without the token, the form that survives a → 1.

use ndarray::Array2;
use obd_core::{AttentionTrace, Head, Perturbation};

use crate::exact;

/// `a² ‖v - o'‖²` of every pair, shape (query_len, kv_len). Claim C12.
pub(super) fn contributions(head: &Head, trace: &AttentionTrace) -> Array2<f64> {
    exact::contributions(Perturbation::Removal, head, trace)
}
