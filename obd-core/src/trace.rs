//! What attention computed: all that a closed form may look at beside the values.

use ndarray::{Array1, Array2};

use crate::Head;

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

impl AttentionTrace {
    /// Weight that the sink of `head` takes in the softmax of `query`; 0 where there is none.
    ///
    /// # Panics
    /// Where `query` is past the end of the trace.
    pub fn sink_weight(&self, head: &Head, query: usize) -> f64 {
        match head.sink() {
            Some(sink) => (sink - self.log_sum_exp[query]).exp(),
            // Without a sink the tokens hold all the weight.
            None => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_sink_takes_its_share_of_the_whole() {
        // Logits 0 and ln 2 of the token and the sink: a third and two thirds of a sum of 3.
        let head = Head::new(array![[0.0]], array![[0.0]], array![[5.0]]).unwrap();
        let trace = AttentionTrace {
            logits: array![[0.0]],
            weights: array![[1.0 / 3.0]],
            output: array![[5.0 / 3.0]],
            log_sum_exp: array![3f64.ln()],
        };
        assert_eq!(trace.sink_weight(&head, 0), 0.0);
        let sunk = head.with_sink(2f64.ln()).unwrap();
        approx::assert_relative_eq!(trace.sink_weight(&sunk, 0), 2.0 / 3.0, max_relative = 1e-15);
    }
}
