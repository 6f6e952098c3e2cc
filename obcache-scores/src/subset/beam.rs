//! Beam removal is greedy exact removal that follows the best few sets at once, so that one bad step is not for good.

use std::collections::BTreeMap;

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::kept::Kept;

/// The `budget` tokens kept, ascending, over the queries of `window`, when after every eviction the best `width` sets are
/// followed. A width of 1 is greedy exact removal; 0 counts as 1.
///
/// O(width · query_len · kv_len · value_dim) an eviction. A wider beam may end worse: it is a heuristic still.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn keep(head: &Head, trace: &AttentionTrace, window: QueryWindow, budget: usize, width: usize) -> Vec<usize> {
    let mut beam: Vec<Vec<usize>> = vec![(0..head.kv_len()).collect()];
    for _ in budget..head.kv_len() {
        let mut next: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
        for set in beam {
            let kept = Kept::new(head, trace, window, set);
            for (error, gone) in kept.errors_without().iter().zip(&kept.tokens) {
                let left = kept.tokens.iter().copied().filter(|token| token != gone).collect();
                next.entry(left).or_insert(*error);
            }
        }
        let mut ranked: Vec<(Vec<usize>, f64)> = next.into_iter().collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        ranked.truncate(width.max(1));
        beam = ranked.into_iter().map(|(set, _)| set).collect();
    }
    beam.swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::super::exhaustive;
    use super::*;
    use crate::greedy;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;

    #[test]
    fn a_beam_of_one_is_greedy_and_one_of_all_is_the_optimum() {
        for head in [scattered(None), scattered(Some(1.0))] {
            let trace = trace(&head);
            let order = greedy::order(&head, &trace, QueryWindow::All);
            for budget in 0..=7 {
                let mut expected = order[7 - budget..].to_vec();
                expected.sort_unstable();
                assert_eq!(keep(&head, &trace, QueryWindow::All, budget, 1), expected);
                let optimum = exhaustive::keep(&head, &trace, QueryWindow::All, budget);
                assert_eq!(Some(keep(&head, &trace, QueryWindow::All, budget, 200)), optimum);
            }
        }
    }
}
