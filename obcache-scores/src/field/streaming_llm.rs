//! StreamingLLM keeps the first tokens and the most recent ones, and looks at nothing else (2309.17453).

use ndarray::Array1;

/// Position as a saliency, shape (kv_len): the first `sinks` tokens rank highest, then the newer the higher. Claim C43.
///
/// Ranks only: token j has j, a sink kv_len more.
pub fn streaming_llm(kv_len: usize, sinks: usize) -> Array1<f64> {
    Array1::from_shape_fn(kv_len, |j| if j < sinks { (j + kv_len) as f64 } else { j as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn sinks_first_then_recency() {
        assert_eq!(streaming_llm(5, 2), array![5.0, 6.0, 2.0, 3.0, 4.0]);
        assert_eq!(streaming_llm(2, 0), array![0.0, 1.0]);
    }
}
