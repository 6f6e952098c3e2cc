//! Greedy addition keeps, one after the other, the token that leaves the least exact error of all that is not yet kept.
//!
//! It starts where nothing is kept and every query has lost its output; good at small budgets, where removal has a long way to go.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::attended_window::AttendedWindow;
use super::kept::Kept;
use super::pool::Pool;
use super::set_step::SetStep;

/// The first `budget` tokens kept, in the order in which they were, over the queries of `window`. Of equals the older comes
/// first. Claim C36.
///
/// O(query_len · kv_len) a token, and as much times value_dim before the first; O(query_len · kv_len) memory.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow, budget: usize) -> Vec<usize> {
    let nothing = Kept::new(AttendedWindow { head, trace, window }, Vec::new());
    let mut pool = Pool::new(SetStep::Add, &nothing, (0..head.kv_len()).collect());
    (0..budget).map_while(|_| pool.take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::set::removal_error;
    use crate::select::evicted;
    use crate::test_heads::{scattered, trace};

    #[test]
    fn follows_its_definition() {
        for head in [scattered(None), scattered(Some(1.0)), scattered(None).without(&[2])] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let order = order(&head, &trace, window, 9);
                assert_eq!(order.len(), 7);
                for step in 0..7 {
                    let error = |token: usize| {
                        let mut kept = [&order[..step], &[token]].concat();
                        kept.sort_unstable();
                        removal_error(&head, &trace, &evicted(7, &kept), window)
                    };
                    let mut earlier = order[..step].to_vec();
                    earlier.sort_unstable();
                    let least = evicted(7, &earlier)
                        .into_iter()
                        .map(error)
                        .fold(f64::INFINITY, f64::min);
                    // Two digits of rounding between the quick and the exact error.
                    assert!(error(order[step]) <= least * (1.0 + 1e-10) + 1e-10);
                }
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
