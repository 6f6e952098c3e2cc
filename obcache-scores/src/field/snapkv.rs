//! SnapKV lets the last queries of the prompt vote, and smooths their votes over neighbouring tokens.
//!
//! ```text
//! mean over the last w queries of a_ij, j before the window -> pooled -> mean over the group; the window is protected
//! ```
//! 2404.14469. The weights are those over all keys, cut to the tokens before the window afterwards, so the window's own
//! share is not given back. kvpress pools by average with kernel 5, the OBCache authors by maximum with kernel 7.

use ndarray::{Array1, Axis, s};

use super::KvGroup;
use super::kv_group::last_rows;
use obd_core::Pooling;

/// Saliency of every token, shape (kv_len); infinite for the last `window` tokens, which are protected. Claim C26.
pub fn snapkv(group: &KvGroup, window: usize, pooling: Pooling) -> Array1<f64> {
    let before = group.kv_len().saturating_sub(window);
    let votes = group.mean(|_, trace| {
        let last = last_rows(&trace.weights, window);
        let mean = last.slice(s![.., ..before]).sum_axis(Axis(0)) / last.nrows().max(1) as f64;
        pooling.apply(&mean)
    });
    Array1::from_shape_fn(group.kv_len(), |token| {
        if token < before { votes[token] } else { f64::INFINITY }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn group(head: obd_core::Head) -> KvGroup {
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    #[test]
    fn the_window_votes_and_stays() {
        // Last row 1/8, 2/8, 5/8: the tokens before the window get 1/8 and 2/8, pooled over a kernel of 3 (zero padded).
        let average = snapkv(&group(logs()), 1, Pooling::Average { radius: 1 });
        assert_relative_eq!(
            average,
            array![1.0 / 8.0, 1.0 / 8.0, f64::INFINITY],
            max_relative = 1e-15
        );
        let max = snapkv(&group(logs()), 1, Pooling::Max { radius: 1 });
        assert_relative_eq!(max, array![0.25, 0.25, f64::INFINITY], max_relative = 1e-15);
        // Both rows vote, 1/2 and 1/4, mean 3/8; two tokens are in the window.
        let both = snapkv(&group(two_queries()), 2, Pooling::Max { radius: 0 });
        assert_eq!(both, array![0.375, f64::INFINITY, f64::INFINITY]);
    }

    #[test]
    fn a_window_as_long_as_the_cache_protects_all() {
        for window in [3, 9] {
            let saliency = snapkv(&group(logs()), window, Pooling::Max { radius: 3 });
            assert_eq!(saliency, array![f64::INFINITY, f64::INFINITY, f64::INFINITY]);
        }
    }
}
