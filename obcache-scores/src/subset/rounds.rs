//! Removal in rounds comes close to greedy exact removal for a few matrix products, by scoring afresh what is left.
//!
//! Each round evicts the tokens that the kept set would miss least, all by one exact scoring of single removals with the
//! attention renormalised over what is left; the same *share* of the kept tokens goes in every round. Greedy removal is the
//! case of one token a round (claim C36). A ranking of single tokens is the case of one round: it never learns that of two tokens
//! which say the same, one must stay, nor how the weights grow as others leave. Rounds learn both after every step, and a geometric
//! schedule spends them where it matters: the fewer tokens are left, the more each weighs.
//!
//! Where a set S of k tokens goes in one round that takes at most m of any query's weight, the output moves by no more than
//! `k / (1 - m)²` times the sum of the single removals' errors (claim C37): the schedule keeps both factors small.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::kept::{Kept, by_error};
use crate::selection::Protection;

/// Rounds that came within a few percent of greedy removal on real heads.
pub const ROUNDS: usize = 16;

/// The `budget` tokens kept, ascending, after `rounds` rounds over the queries of `window`; protected tokens always stay.
///
/// More tokens than `budget` are kept only where more are protected; with fewer than as many rounds as tokens to evict, all
/// rounds are used. One round is made where `rounds` is 0.
///
/// O(query_len · kv_len · value_dim) a round, as three matrix products over what is left.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn keep(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    budget: usize,
    protection: Protection,
    rounds: usize,
) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..head.kv_len()).collect();
    for size in schedule(head.kv_len(), budget, rounds) {
        let going = kept.len() - size;
        if going > 0 {
            kept = evict(Kept::new(head, trace, window, kept), going, protection);
        }
    }
    kept
}

/// Evicts the `going` tokens whose single removal leaves the least error, as far as they are not protected.
pub(super) fn evict(kept: Kept, going: usize, protection: Protection) -> Vec<usize> {
    let selectable = protection.selectable(kept.kv_len());
    let mut ranked = by_error(&kept.tokens, &kept.errors_without());
    ranked.retain(|token| selectable.contains(token));
    ranked.truncate(going);
    ranked.sort_unstable();
    let mut tokens = kept.tokens;
    tokens.retain(|token| ranked.binary_search(token).is_err());
    tokens
}

/// Tokens left after every round: the same share goes each time, and `budget` are left at the end.
fn schedule(tokens: usize, budget: usize, rounds: usize) -> Vec<usize> {
    let (rounds, budget) = (rounds.max(1), budget.min(tokens));
    let share = (budget.max(1) as f64 / tokens as f64).powf(1.0 / rounds as f64);
    let mut left = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        let before = left.last().copied().unwrap_or(tokens);
        let size = (tokens as f64 * share.powi(round as i32)).round() as usize;
        left.push(if round == rounds {
            budget
        } else {
            size.clamp(budget, before)
        });
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::greedy;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;

    #[test]
    fn the_same_share_goes_in_every_round() {
        assert_eq!(schedule(64, 4, 4), [32, 16, 8, 4]);
        assert_eq!(schedule(10, 0, 2), [3, 0]);
        assert_eq!(schedule(10, 5, 0), [5]);
        assert_eq!(schedule(4, 9, 2), [4, 4]);
        assert_eq!(schedule(3, 1, 5), [2, 2, 2, 1, 1]);
    }

    #[test]
    fn one_token_a_round_is_greedy_removal() {
        for head in [scattered(None), scattered(Some(1.0))] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let order = greedy::order(&head, &trace, window);
                for budget in 0..=7 {
                    let mut expected = order[7 - budget..].to_vec();
                    expected.sort_unstable();
                    let kept = keep(&head, &trace, window, budget, Protection::default(), 200);
                    assert_eq!(kept, expected);
                }
            }
        }
    }

    #[test]
    fn protected_tokens_stay() {
        let head = scattered(None);
        let protection = Protection { sinks: 1, recent: 2 };
        for rounds in [1, 3, 9] {
            let kept = keep(&head, &trace(&head), QueryWindow::All, 4, protection, rounds);
            assert!(kept.len() == 4 && [0, 5, 6].iter().all(|token| kept.contains(token)));
        }
        let all_protected = keep(&head, &trace(&head), QueryWindow::All, 1, protection, 3);
        assert_eq!(all_protected, [0, 5, 6]);
    }
}
