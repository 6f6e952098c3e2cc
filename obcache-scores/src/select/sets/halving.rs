//! Removal by halving comes close to greedy exact removal for a few dozen matrix products.
//!
//! ```text
//! to evict k of some candidates: score them all, exactly; of the 3 k/2 that the kept set would miss least, evict k/2 in the same way;
//! score again what is left of the candidates, and evict the other half; where k is small, greedily, a rank-one update a token
//! ```
//! A ranking of single tokens never learns that of two tokens which say the same, one must stay, nor how the weights grow as others
//! leave. Greedy removal learns both after every token and scores all that is left each time. Halving scores a token as often as it
//! is close to going: each of the log2 k levels scores three halves of what it evicts. Where all that is left are candidates of one
//! block, it is greedy removal (claim C36).

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::attended_window::AttendedWindow;
use super::kept::Kept;
use super::pool::Pool;
use super::set_step::SetStep;
use crate::select::{Protection, evicted};

/// Candidates for each token that goes.
const CANDIDATES: usize = 3;

/// So many tokens and fewer go greedily.
const BLOCK: usize = 32;

/// The `budget` tokens kept, ascending, over the queries of `window`; protected tokens always stay. Claim C36.
///
/// More tokens than `budget` are kept only where more are protected.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn keep(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    budget: usize,
    protection: Protection,
) -> Vec<usize> {
    let candidates = protection.selectable(head.kv_len()).collect();
    let going = head.kv_len().saturating_sub(budget);
    let all = Kept::new(AttendedWindow { head, trace, window }, (0..head.kv_len()).collect());
    let gone = take(&all, Pool::new(SetStep::Evict, &all, candidates), going);
    evicted(head.kv_len(), &gone)
}

/// The `count` candidates of `pool`, one of what is `kept`, that are taken, or all where there are fewer.
pub(super) fn take(kept: &Kept, pool: Pool, count: usize) -> Vec<usize> {
    if count <= BLOCK {
        let mut pool = pool.narrowed(CANDIDATES * count);
        return (0..count).map_while(|_| pool.take()).collect();
    }
    let (step, first) = (pool.step, count / 2);
    let mut open = pool.candidates.clone();
    let mut taken = take(kept, pool.narrowed(CANDIDATES * first), first);
    open.retain(|token| !taken.contains(token));
    let kept = kept.after(step, &taken);
    taken.extend(take(&kept, Pool::new(step, &kept, open), count - first));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::set::removal_error;
    use crate::select::sets::greedy;
    use crate::test_heads::{attended_window, scattered, trace};
    use ndarray::{Array2, array};

    /// Two queries that see `tokens` scattered ones.
    fn many(tokens: usize) -> Head {
        let wave = |rows: usize, phase: f64| {
            Array2::from_shape_fn((rows, 2), |(i, c)| (phase * (1.0 + i as f64) + 2.3 * c as f64).sin())
        };
        let visibility = obd_core::Visibility::all(2, tokens);
        let head = Head::new(wave(2, 1.7), wave(tokens, 0.9), wave(tokens, 1.3));
        head.unwrap().with_visibility(visibility).unwrap()
    }

    /// The definition, by the exact error of every set that is met.
    struct Definition<'a> {
        head: &'a Head,
        trace: &'a AttentionTrace,
        step: SetStep,
    }

    impl Definition<'_> {
        fn after(&self, kept: &[usize], token: usize) -> Vec<usize> {
            let mut kept = kept.to_vec();
            match self.step {
                SetStep::Evict => kept.retain(|&other| other != token),
                SetStep::Add => kept.push(token),
            }
            kept.sort_unstable();
            kept
        }

        fn least(&self, kept: &[usize], candidates: &[usize], count: usize) -> Vec<usize> {
            let error = |token: usize| {
                let gone = evicted(self.head.kv_len(), &self.after(kept, token));
                removal_error(self.head, self.trace, &gone, QueryWindow::All)
            };
            let mut ranked: Vec<(f64, usize)> = candidates.iter().map(|&token| (error(token), token)).collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            ranked.into_iter().take(count).map(|(_, token)| token).collect()
        }

        fn take(&self, mut kept: Vec<usize>, mut candidates: Vec<usize>, count: usize) -> Vec<usize> {
            if count <= 32 {
                candidates = self.least(&kept, &candidates, 3 * count);
                for _ in 0..count {
                    let token = self.least(&kept, &candidates, 1)[0];
                    candidates.retain(|&other| other != token);
                    kept = self.after(&kept, token);
                }
                return kept;
            }
            let first = count / 2;
            let few = self.least(&kept, &candidates, 3 * first);
            kept = self.take(kept, few, first);
            candidates.retain(|token| kept.contains(token) == (self.step == SetStep::Evict));
            self.take(kept, candidates, count - first)
        }
    }

    #[test]
    fn follows_its_definition() {
        let head = many(150);
        let trace = trace(&head);
        let (all, attended) = (
            (0..150).collect::<Vec<usize>>(),
            attended_window(&head, &trace, QueryWindow::All),
        );
        for (step, kept) in [(SetStep::Evict, all.clone()), (SetStep::Add, vec![])] {
            let definition = Definition {
                head: &head,
                trace: &trace,
                step,
            };
            for count in [0, 1, 20, 32, 33, 71] {
                let start = Kept::new(attended, kept.clone());
                let taken = take(&start, Pool::new(step, &start, all.clone()), count);
                let expected = definition.take(kept.clone(), all.clone(), count);
                assert_eq!(start.after(step, &taken).tokens, expected, "{count}");
            }
        }
        for budget in [79, 149] {
            let kept = keep(&head, &trace, QueryWindow::All, budget, Protection::default());
            let definition = Definition {
                head: &head,
                trace: &trace,
                step: SetStep::Evict,
            };
            assert_eq!(kept, definition.take(all.clone(), all.clone(), 150 - budget));
        }
    }

    #[test]
    fn a_third_and_more_of_few_tokens_go_as_in_greedy_removal() {
        for head in [scattered(None), scattered(Some(1.0))] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let order = greedy::order(&head, &trace, window);
                for budget in 0..=4 {
                    let mut expected = order[7 - budget..].to_vec();
                    expected.sort_unstable();
                    assert_eq!(keep(&head, &trace, window, budget, Protection::default()), expected);
                }
            }
        }
    }

    #[test]
    fn protected_tokens_stay() {
        let head = scattered(None);
        let protection = Protection { sinks: 1, recent: 2 };
        let kept = keep(&head, &trace(&head), QueryWindow::All, 4, protection);
        assert!(kept.len() == 4 && [0, 5, 6].iter().all(|token| kept.contains(token)));
        let all_protected = keep(&head, &trace(&head), QueryWindow::All, 1, protection);
        assert_eq!(all_protected, [0, 5, 6]);
        let more_than_there_are = keep(&head, &trace(&head), QueryWindow::All, 9, protection);
        assert_eq!(more_than_there_are, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn no_more_go_than_are_open() {
        let head = many(100);
        let trace = trace(&head);
        let protection = Protection { sinks: 4, recent: 50 };
        let kept = keep(&head, &trace, QueryWindow::All, 10, protection);
        assert_eq!(kept, evicted(100, &(4..50).collect::<Vec<usize>>()));
        let head = Head::new(array![[0.0]], array![[0.0]], array![[1.0]]).unwrap();
        assert!(
            keep(
                &head,
                &crate::test_heads::trace(&head),
                QueryWindow::All,
                0,
                Protection::default()
            )
            .is_empty()
        );
    }
}
