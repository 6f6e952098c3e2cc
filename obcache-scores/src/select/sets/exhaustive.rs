//! The best set there is, by trying every one: the yardstick of all other selections on small problems.

use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::exact::set::removal_error;
use crate::select::evicted;

/// Sets tried at most.
const MOST: u64 = 2_000_000;

/// The `budget` tokens, ascending, whose keeping leaves the least exact error over the queries of `window`; of equals the
/// first in the order of positions. `None` where there are more than two million sets to try. Claim C36.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn keep(head: &Head, trace: &AttentionTrace, window: QueryWindow, budget: usize) -> Option<Vec<usize>> {
    let budget = budget.min(head.kv_len());
    if sets(head.kv_len(), budget)? > MOST {
        return None;
    }
    let mut kept: Vec<usize> = (0..budget).collect();
    let mut best = (f64::INFINITY, kept.clone());
    loop {
        let error = removal_error(head, trace, &evicted(head.kv_len(), &kept), window);
        if error < best.0 {
            best = (error, kept.clone());
        }
        if !advance(&mut kept, head.kv_len()) {
            return Some(best.1);
        }
    }
}

/// Ways to choose `budget` of `tokens`; `None` beyond 64 bits.
fn sets(tokens: usize, budget: usize) -> Option<u64> {
    (0..budget as u64).try_fold(1u64, |ways, k| Some(ways.checked_mul(tokens as u64 - k)? / (k + 1)))
}

/// The next set of as many tokens; `false` after the last.
fn advance(kept: &mut [usize], tokens: usize) -> bool {
    let count = kept.len();
    let Some(place) = (0..count).rev().find(|&place| kept[place] < tokens - count + place) else {
        return false;
    };
    let first = kept[place] + 1;
    for (offset, token) in kept[place..].iter_mut().enumerate() {
        *token = first + offset;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::scattered;
    use crate::test_heads::{logs, trace};
    use ndarray::Array2;

    #[test]
    fn every_set_is_tried() {
        let mut kept = vec![0, 1];
        let mut all = vec![kept.clone()];
        while advance(&mut kept, 5) {
            all.push(kept.clone());
        }
        let pairs = (0..5).flat_map(|a| (a + 1..5).map(move |b| vec![a, b]));
        assert_eq!(all, pairs.collect::<Vec<_>>());
        assert_eq!((sets(4, 2), sets(100, 50)), (Some(6), None));
    }

    #[test]
    fn the_best_by_hand() {
        // Odds 1, 2, 5 on 8, 4, 0: output 2. Without the first 8/7, without the second 8/6, without the last 16/3.
        let kept = keep(&logs(), &trace(&logs()), QueryWindow::All, 2);
        assert_eq!(kept, Some(vec![0, 2]));
        assert_eq!(keep(&logs(), &trace(&logs()), QueryWindow::All, 9), Some(vec![0, 1, 2]));
        assert_eq!(keep(&logs(), &trace(&logs()), QueryWindow::All, 0), Some(vec![]));
    }

    #[test]
    fn of_equal_sets_the_first_is_kept() {
        let head = Head::new(Array2::zeros((1, 1)), Array2::zeros((3, 1)), Array2::zeros((3, 1))).unwrap();
        assert_eq!(keep(&head, &trace(&head), QueryWindow::All, 2), Some(vec![0, 1]));
    }

    #[test]
    fn too_many_sets_are_refused() {
        let zeros = |rows: usize| Array2::zeros((rows, 1));
        let head = Head::new(zeros(1), zeros(40), zeros(40)).unwrap();
        assert_eq!(keep(&head, &trace(&head), QueryWindow::All, 20), None);
        assert!(keep(&scattered(None), &trace(&scattered(None)), QueryWindow::All, 3).is_some());
    }
}
