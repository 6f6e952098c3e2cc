//! TOVA keeps what the last query attends to, the same tokens for all heads of a layer.
//!
//! ```text
//! mean over all query heads of the layer of a_(last) j; the last token is protected          2401.06104, kvpress
//! ```
//! One head at a time, as the OBCache authors run it, it is the weight of the last query: `Score::Weight` over
//! `QueryWindow::Last(1)`.

use ndarray::Array1;

use super::KvGroup;

/// Saliency that all KV heads of `layer` share, shape (kv_len); infinite for the protected last token. Empty for an empty
/// layer, and as long as the shortest group. Claim C26.
pub fn tova(layer: &[KvGroup]) -> Array1<f64> {
    let tokens = layer.iter().map(KvGroup::kv_len).min().unwrap_or(0);
    let heads: Vec<_> = layer.iter().flat_map(KvGroup::heads).collect();
    Array1::from_shape_fn(tokens, |token| {
        if token + 1 == tokens {
            return f64::INFINITY;
        }
        let weights = heads
            .iter()
            .map(|(head, trace)| trace.weights[[head.query_len() - 1, token]]);
        weights.sum::<f64>() / heads.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn all_heads_of_all_groups_count_alike() {
        // Weights 1/8, 2/8, 5/8 in one head, 1/3 each in two others.
        let even = obd_core::Head::new(array![[0.0]], logs().key().clone(), logs().value().clone()).unwrap();
        let group = |heads: &[&obd_core::Head]| {
            KvGroup::new(heads.iter().map(|&head| (head.clone(), trace(head))).collect()).unwrap()
        };
        let layer = [group(&[&logs()]), group(&[&even, &even])];
        let expected = [(1.0 / 8.0 + 2.0 / 3.0) / 3.0, (2.0 / 8.0 + 2.0 / 3.0) / 3.0];
        let saliency = tova(&layer);
        assert_relative_eq!(saliency[0], expected[0], max_relative = 1e-15);
        assert_relative_eq!(saliency[1], expected[1], max_relative = 1e-15);
        assert_eq!(saliency[2], f64::INFINITY);
        assert_eq!(tova(&[]).len(), 0);
    }
}
