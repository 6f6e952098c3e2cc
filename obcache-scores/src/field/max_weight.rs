//! The largest weight any query gives a token; KVzip's score where the queries repeat the context.
//!
//! ```text
//! max over the group and the queries of a_ij          2505.23416
//! ```
//! KVzip has the model reconstruct its context and takes these queries; on a prompt's own queries the same statistic is no
//! reconstruction, only a maximum in place of a sum. A user who holds the second pass passes its heads here: kvpress lets
//! each chunk of it attend to the sinks, the chunk that it repeats and itself, which a visibility mask says.

use ndarray::{Array1, Axis};
use obd_core::{GroupReduction, QueryWindow};

use super::KvGroup;

/// Saliency of every token, shape (kv_len), over the queries of `window`. Claim C26.
pub fn max_weight(group: &KvGroup, window: QueryWindow) -> Array1<f64> {
    let queries = window.queries(group.query_len());
    let largest: Vec<Array1<f64>> = group
        .heads()
        .iter()
        .map(|(_, trace)| {
            let rows = trace.weights.slice(ndarray::s![queries.clone(), ..]);
            rows.map_axis(Axis(0), |column| column.fold(0.0, |largest: f64, &a| largest.max(a)))
        })
        .collect();
    let joined = GroupReduction::Max.reduce(&largest);
    joined.expect("a group has a head, and its heads the same tokens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{trace, two_queries};
    use ndarray::array;
    use obd_core::Head;

    #[test]
    fn the_best_reader_of_any_query_counts() {
        // Weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2; a second head of equal keys weighs as the first, one of zero queries evenly.
        let head = two_queries();
        let even = Head::new(head.query() * 0.0, head.key().clone(), head.value().clone()).unwrap();
        let group = KvGroup::new(vec![(head.clone(), trace(&head)), (even.clone(), trace(&even))]).unwrap();
        let last = max_weight(&group, QueryWindow::Last(1));
        assert_eq!(last, array![1.0 / 3.0, 1.0 / 3.0, 0.5]);
        assert_eq!(max_weight(&group, QueryWindow::All), array![0.5, 0.5, 0.5]);
    }
}
