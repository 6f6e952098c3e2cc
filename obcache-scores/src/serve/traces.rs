//! A tracker fed by traces: heads with what attention made of them.

use ndarray::Array1;
use obd_core::{AttentionTrace, Head, QueryWindow};

use super::Tracker;
use crate::{PolicyError, Score, accumulate};

impl Tracker {
    /// Takes in the prefill, one head and trace per query head: queries and tokens are the whole prompt, kv_len tokens join the
    /// cache.
    ///
    /// # Errors
    /// [`PolicyError`] where the heads are not those of the group or tokens are cached already; nothing is taken in then.
    pub fn prefill(&mut self, group: &[(Head, AttentionTrace)]) -> Result<(), PolicyError> {
        let tokens = self.new_tokens(group, Head::kv_len)?;
        self.join(tokens, false, traced(group, self.policy().prefill_window));
        Ok(())
    }

    /// Takes in a part of the prompt, one head and trace per query head: the queries are new, the tokens are the cached ones
    /// followed by one new token per query, and `remaining` queries of the prompt are still to come. Of the policy's window those
    /// count that lie in this part, so that the parts add up to [`Tracker::prefill`].
    ///
    /// # Errors
    /// [`PolicyError`] where the heads are not those of the group or do not hold so many tokens; nothing is taken in then.
    pub fn prefill_chunk(&mut self, group: &[(Head, AttentionTrace)], remaining: usize) -> Result<(), PolicyError> {
        let window = match self.policy().prefill_window {
            QueryWindow::All => QueryWindow::All,
            QueryWindow::Last(queries) => QueryWindow::Last(queries.saturating_sub(remaining)),
        };
        let tokens = self.new_tokens(group, Head::query_len)?;
        self.join(tokens, true, traced(group, window));
        Ok(())
    }

    /// Takes in a decode step, one head and trace per query head: the queries are new, the tokens are the cached ones followed
    /// by one new token per query.
    ///
    /// # Errors
    /// [`PolicyError`] where the heads are not those of the group or do not hold so many tokens; nothing is taken in then.
    pub fn step(&mut self, group: &[(Head, AttentionTrace)]) -> Result<(), PolicyError> {
        let window = if self.policy().accumulate {
            QueryWindow::All
        } else {
            QueryWindow::Last(1)
        };
        let tokens = self.new_tokens(group, Head::query_len)?;
        self.join_step(tokens, traced(group, window));
        Ok(())
    }

    /// How many tokens `group` brings, `new` by each head. Refuses other heads than those of the group, and a head or trace that
    /// does not cover the cached tokens and the new ones.
    fn new_tokens(&self, group: &[(Head, AttentionTrace)], new: impl Fn(&Head) -> usize) -> Result<usize, PolicyError> {
        if group.len() != self.query_heads() {
            return Err(PolicyError::Heads {
                found: group.len(),
                expected: self.query_heads(),
            });
        }
        let cached = self.positions().len();
        let joining = new(&group[0].0);
        for (head, trace) in group {
            let covered = cached + new(head);
            let fits = head.kv_len() == covered && trace.weights.dim() == (head.query_len(), covered);
            let expected = if fits { cached + joining } else { covered };
            if !fits || covered != expected {
                return Err(PolicyError::TraceLength {
                    found: trace.weights.ncols(),
                    expected,
                });
            }
        }
        Ok(joining)
    }
}

/// Adds what each head's queries of `window` give the tokens.
fn traced(group: &[(Head, AttentionTrace)], window: QueryWindow) -> impl FnMut(usize, Score, &mut Array1<f64>) {
    move |query_head, score, sums| {
        let (head, trace) = &group[query_head];
        *sums += &accumulate(&score.contributions(head, trace), window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Policy;
    use crate::test_heads::{trace, two_queries};
    use ndarray::{Array2, array};

    fn weights(heavy: usize, recent: usize) -> Policy {
        Policy::published("h2o", heavy, recent).unwrap()
    }

    fn attended(head: Head) -> (Head, AttentionTrace) {
        let trace = trace(&head);
        (head, trace)
    }

    fn prompt() -> [(Head, AttentionTrace); 1] {
        [attended(two_queries())]
    }

    /// One query of equal weights over `tokens` tokens.
    fn even(tokens: usize) -> (Head, AttentionTrace) {
        attended(Head::new(array![[0.0]], Array2::zeros((tokens, 1)), Array2::ones((tokens, 1))).unwrap())
    }

    #[test]
    fn prefill_then_steps_accumulate() {
        let mut tracker = Tracker::new(weights(1, 2));
        // Two queries over three tokens: weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
        tracker.prefill(&prompt()).unwrap();
        assert_eq!(tracker.saliencies(), [array![0.75, 0.75, 0.5]]);
        tracker.step(&[even(4)]).unwrap();
        assert_eq!(tracker.saliencies(), [array![1.0, 1.0, 0.75, 0.25]]);
        assert_eq!(tracker.positions(), [0, 1, 2, 3]);
        assert_eq!(tracker.choice().unwrap(), [1, 2, 3]);
        tracker.keep(&[1, 2, 3]).unwrap();
        assert_eq!(
            (tracker.positions(), tracker.saliencies()),
            (&[1, 2, 3][..], &[array![1.0, 0.75, 0.25]][..])
        );
        tracker.step(&[even(4)]).unwrap();
        assert_eq!(
            (tracker.positions(), tracker.saliencies()),
            (&[1, 2, 3, 4][..], &[array![1.25, 1.0, 0.5, 0.25]][..])
        );
        assert_eq!(tracker.seen(), 5);
    }

    #[test]
    fn chunks_of_the_prompt_add_up_to_its_window() {
        let first = [attended(
            Head::new(array![[0.0]], array![[0.0]], array![[1.0]]).unwrap(),
        )];
        for (window, expected) in [(1, [0.25, 0.25, 0.5]), (2, [0.75, 0.75, 0.5])] {
            for accumulate in [true, false] {
                let policy = Policy {
                    prefill_window: QueryWindow::Last(window),
                    accumulate,
                    ..weights(1, 1)
                };
                let mut tracker = Tracker::new(policy);
                tracker.prefill_chunk(&first, 2).unwrap();
                assert_eq!(tracker.saliencies(), [array![0.0]]);
                // Two more queries over three tokens: weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
                tracker.prefill_chunk(&prompt(), 0).unwrap();
                assert_eq!(tracker.saliencies(), [Array1::from_iter(expected)]);
            }
        }
        let mut tracker = Tracker::new(Policy::published("h2o_fullhist", 1, 1).unwrap());
        tracker.prefill_chunk(&first, 2).unwrap();
        assert_eq!(tracker.saliencies(), [array![1.0]]);
    }

    #[test]
    fn without_accumulation_only_the_last_query_counts() {
        let mut tracker = Tracker::new(Policy::published("tova", 2, 1).unwrap());
        tracker.prefill(&prompt()).unwrap();
        assert_eq!(tracker.saliencies(), [array![0.25, 0.25, 0.5]]);
        let pair = Head::new(array![[9.0], [0.0]], Array2::zeros((5, 1)), Array2::ones((5, 1))).unwrap();
        tracker.step(&[attended(pair)]).unwrap();
        assert_eq!(tracker.saliencies(), [array![0.2, 0.2, 0.2, 0.2, 0.2]]);
        assert_eq!(tracker.choice().unwrap(), [2, 3, 4]);
    }

    #[test]
    fn a_trace_over_another_cache_is_refused() {
        let mut tracker = Tracker::new(weights(1, 1));
        tracker.prefill(&[even(2)]).unwrap();
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 3 });
        assert_eq!(tracker.step(&[even(2)]), refused);
        assert_eq!(tracker.step(&[(even(3).0, even(2).1)]), refused);
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 4 });
        assert_eq!(tracker.prefill(&[even(2)]), refused);
        assert_eq!(tracker.positions(), [0, 1]);
    }

    #[test]
    fn another_number_of_query_heads_is_refused_and_nothing_taken_in() {
        assert!(Tracker::group(weights(1, 1), 0).is_err());
        let mut tracker = Tracker::group(weights(1, 1), 2).unwrap();
        let refused = Err(PolicyError::Heads { found: 1, expected: 2 });
        assert_eq!(tracker.step(&[even(1)]), refused);
        assert!(tracker.step(&[even(1), even(2)]).is_err());
        assert!(tracker.prefill_chunk(&[even(1), attended(two_queries())], 0).is_err());
        // Two queries over two tokens fit an empty cache, one query over two does not, and neither beside one over one.
        let pair = Head::new(array![[0.0], [0.0]], Array2::zeros((2, 1)), Array2::ones((2, 1))).unwrap();
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 1 });
        assert_eq!(tracker.step(&[attended(pair.clone()), even(2)]), refused);
        assert_eq!(tracker.step(&[even(1), attended(pair)]), refused);
        assert_eq!(tracker.positions(), [0usize; 0]);
    }

    #[test]
    fn query_heads_are_joined_and_evict_together() {
        let policy = Policy {
            every: 2,
            ..Policy::published("h2o_fullhist", 2, 1).unwrap()
        };
        let mut tracker = Tracker::group(policy, 2).unwrap();
        let head = Head::new(array![[0.0], [0.0]], Array2::zeros((2, 1)), Array2::ones((2, 1))).unwrap();
        tracker
            .prefill_chunk(&[attended(head.clone()), attended(head)], 0)
            .unwrap();
        // Weights 1, 0 and 1/2, 1/2 in each head.
        assert_eq!(tracker.ranking().unwrap(), array![3.0, 1.0]);
        assert_eq!(tracker.choice().unwrap(), [0, 1]);
        tracker.step(&[even(3), even(3)]).unwrap();
        assert!(!tracker.due());
        tracker.step(&[even(4), even(4)]).unwrap();
        assert!(tracker.due());
        assert_eq!(tracker.bytes(), (1 + 2) * 4 * 8);
        let slots = tracker.choice().unwrap();
        assert_eq!(slots, [0, 1, 3]);
        tracker.keep(&slots).unwrap();
        assert!(!tracker.due());
        assert_eq!(tracker.positions(), [0, 1, 3]);
        assert!(tracker.saliencies().iter().all(|sums| sums.len() == 3));
    }
}
