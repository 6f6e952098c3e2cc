//! Exchange mends a selection: evicted tokens that are missed come back, and the least needed go in their place.
//!
//! ```text
//! add the m evicted tokens that alone lower the error most, then evict the m that the set misses least;
//! keep the result where its exact error is lower, else halve m, and stop where m = 1 does not help
//! ```
//! Removal cannot take back a token that turned out to be needed once others had gone; exchange can. It never leaves more error
//! than it was given (claim C36).

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::kept::{Kept, by_error, others};
use super::rounds::{ROUNDS, evict, keep};
use crate::selection::Protection;

/// Exchanges tried after [`ROUNDS`] rounds.
pub const EXCHANGES: usize = 16;

/// Share of the kept tokens that the first exchange swaps.
const SHARE: f64 = 0.05;

/// Removal in rounds followed by exchange: the `budget` tokens kept, ascending, over the queries of `window`.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn rounds_and_exchange(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    budget: usize,
    protection: Protection,
) -> Vec<usize> {
    let kept = keep(head, trace, window, budget, protection, ROUNDS);
    improve(head, trace, window, kept, protection, EXCHANGES)
}

/// `kept`, ascending, after at most `exchanges` exchanges over the queries of `window`; protected tokens in it stay.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn improve(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    kept: Vec<usize>,
    protection: Protection,
    exchanges: usize,
) -> Vec<usize> {
    let mut swapped = ((SHARE * kept.len() as f64) as usize).max(1);
    let mut best = Kept::new(head, trace, window, kept);
    for _ in 0..exchanges {
        let missed = others(head.kv_len(), &best.tokens);
        let mut joined = by_error(&missed, &best.errors_with(&missed));
        joined.truncate(swapped);
        let going = joined.len();
        joined.extend(&best.tokens);
        joined.sort_unstable();
        let tokens = evict(Kept::new(head, trace, window, joined), going, protection);
        let candidate = Kept::new(head, trace, window, tokens);
        if candidate.error() < best.error() && candidate.tokens.len() <= best.tokens.len() {
            best = candidate;
        } else if swapped == 1 {
            break;
        } else {
            swapped /= 2;
        }
    }
    best.tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;

    fn error(head: &Head, kept: &[usize]) -> f64 {
        removal_error(head, &trace(head), &others(head.kv_len(), kept), QueryWindow::All)
    }

    #[test]
    fn a_bad_choice_is_mended_to_where_no_single_swap_helps() {
        let head = scattered(None);
        let worst: Vec<Vec<usize>> = vec![vec![0, 1, 2], vec![4, 5, 6], vec![1, 3, 5]];
        for start in worst {
            let kept = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                start.clone(),
                Protection::default(),
                50,
            );
            assert_eq!(kept.len(), 3);
            assert!(error(&head, &kept) <= error(&head, &start));
            // The last exchange that was tried: the best newcomer in, the least needed out.
            let again = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                kept.clone(),
                Protection::default(),
                50,
            );
            assert_eq!(again, kept);
        }
    }

    #[test]
    fn protected_tokens_are_not_swapped_out() {
        let head = scattered(Some(0.5));
        let protection = Protection { sinks: 2, recent: 1 };
        let kept = improve(&head, &trace(&head), QueryWindow::All, vec![0, 1, 3, 6], protection, 50);
        assert!(
            kept.len() == 4 && [0, 1, 6].iter().all(|token| kept.contains(token)),
            "{kept:?}"
        );
        let kept = rounds_and_exchange(&head, &trace(&head), QueryWindow::All, 4, protection);
        assert!(
            kept.len() == 4 && [0, 1, 6].iter().all(|token| kept.contains(token)),
            "{kept:?}"
        );
    }

    #[test]
    fn nothing_to_swap_is_left_alone() {
        let head = scattered(None);
        for kept in [vec![], (0..7).collect::<Vec<_>>()] {
            let improved = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                kept.clone(),
                Protection::default(),
                9,
            );
            assert_eq!(improved, kept);
        }
    }
}
