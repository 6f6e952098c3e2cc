//! What attention computed: all that a closed form may look at beside the values.

use ndarray::{Array1, Array2};

/// The record of one head's attention.
///
/// | field | shape | meaning |
/// |---|---|---|
/// | `logits` | (query_len, kv_len) | z = scale · q·k, before soft-cap, bias and mask; filled also where masked |
/// | `weights` | (query_len, kv_len) | a, softmax over the visible tokens (and the sink); exactly 0 where masked |
/// | `output` | (query_len, value_dim) | o = sum of weights times values; 0 for a query that sees nothing |
/// | `log_sum_exp` | (query_len) | log of the softmax denominator, sink included; `-inf` for a query that sees nothing and has no sink |
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionTrace<S = f64> {
    /// Scaled logits z, shape (query_len, kv_len).
    pub logits: Array2<S>,
    /// Weights a, shape (query_len, kv_len).
    pub weights: Array2<S>,
    /// Output o, shape (query_len, value_dim).
    pub output: Array2<S>,
    /// Log of the softmax denominator, natural base, shape (query_len).
    pub log_sum_exp: Array1<S>,
}
