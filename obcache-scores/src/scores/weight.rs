//! The attention weight, as H2O, SnapKV and TOVA accumulate it: the value score with every ‖v‖₁ taken as 1 (claim C7).
//!
//! ```text
//! sum_i a_ij        all queries: H2O (2306.14048); the last ones, pooled: SnapKV (2404.14469); the last: TOVA (2401.06104)
//! ```

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};

/// `a` of every pair, shape (query_len, kv_len). Claim C7.
pub(super) fn contributions(_: &Head, trace: &AttentionTrace) -> Array2<f64> {
    trace.weights.clone()
}
