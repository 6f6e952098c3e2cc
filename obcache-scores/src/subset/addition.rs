//! Greedy addition keeps, one after the other, the token that leaves the least exact error of all that is not yet kept.
//!
//! It starts where nothing is kept and every query has lost its output; good at small budgets, where removal has a long way to go.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::kept::{Kept, by_error, others};

/// The first `budget` tokens kept, in the order in which they were, over the queries of `window`. Of equals the older comes
/// first.
///
/// O(query_len · kv_len · value_dim) a token.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow, budget: usize) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < budget.min(head.kv_len()) {
        let mut kept = order.clone();
        kept.sort_unstable();
        let candidates = others(head.kv_len(), &kept);
        let errors = Kept::new(head, trace, window, kept).errors_with(&candidates);
        order.extend(by_error(&candidates, &errors).first());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;

    #[test]
    fn follows_its_definition() {
        for head in [scattered(None), scattered(Some(1.0))] {
            let trace = trace(&head);
            let order = order(&head, &trace, QueryWindow::All, 9);
            assert_eq!(order.len(), 7);
            for step in 0..7 {
                let error = |token: usize| {
                    let mut kept = [&order[..step], &[token]].concat();
                    kept.sort_unstable();
                    removal_error(&head, &trace, &others(7, &kept), QueryWindow::All)
                };
                let mut earlier = order[..step].to_vec();
                earlier.sort_unstable();
                let least = others(7, &earlier).into_iter().map(error).fold(f64::INFINITY, f64::min);
                // Two digits of rounding between the quick and the exact error.
                assert!(error(order[step]) <= least * (1.0 + 1e-10) + 1e-10);
            }
        }
    }

    #[test]
    fn a_budget_is_a_prefix() {
        let head = scattered(None);
        let all = order(&head, &trace(&head), QueryWindow::All, 7);
        assert_eq!(order(&head, &trace(&head), QueryWindow::All, 3), all[..3]);
    }
}
