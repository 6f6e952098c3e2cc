//! Greedy exact removal evicts, one after the other, the token whose loss leaves the least exact error of the whole set.
//!
//! One eviction scores all that is left, O(query_len · kv_len), as the pool of candidates carries the products along. No guarantee of
//! the best set is known (claim C13); it is the strongest affordable yardstick.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::attended_window::AttendedWindow;
use super::kept::Kept;
use super::pool::Pool;
use super::set_step::SetStep;

/// The order of eviction over the queries of `window`, first evicted first, all kv_len tokens. Claim C36.
///
/// What survives at a budget of b tokens is the last b of the order. Of equally harmless tokens the older goes first.
/// O(query_len · kv_len²) time, O(query_len · kv_len) memory.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Vec<usize> {
    let all: Vec<usize> = (0..head.kv_len()).collect();
    let kept = Kept::new(AttendedWindow { head, trace, window }, all.clone());
    let mut pool = Pool::new(SetStep::Evict, &kept, all);
    std::iter::from_fn(|| pool.take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::set::removal_error;
    use crate::test_heads::{logs, scattered, trace, two_queries};
    use ndarray::array;

    /// The definition, by the exact set error of every candidate.
    fn by_definition(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Vec<usize> {
        let mut gone: Vec<usize> = Vec::new();
        while gone.len() < head.kv_len() {
            let kept: Vec<usize> = (0..head.kv_len()).filter(|j| !gone.contains(j)).collect();
            let errors: Vec<f64> = kept
                .iter()
                .map(|&j| removal_error(head, trace, &[&gone[..], &[j]].concat(), window))
                .collect();
            let least = (0..kept.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
            gone.push(kept[least.unwrap()]);
        }
        gone
    }

    #[test]
    fn follows_its_definition() {
        for head in [
            logs(),
            two_queries(),
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
        ] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                assert_eq!(order(&head, &trace, window), by_definition(&head, &trace, window));
            }
        }
    }

    #[test]
    fn of_equally_harmless_tokens_the_older_goes_first() {
        let head = Head::new(array![[0.0]], array![[0.0], [0.0], [0.0]], array![[1.0], [1.0], [1.0]]).unwrap();
        assert_eq!(order(&head, &trace(&head), QueryWindow::All), [0, 1, 2]);
    }
}
