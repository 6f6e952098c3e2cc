//! One KV head as it is served: its query heads share a cache, so they evict together.
//!
//! The prompt comes in chunks, decode steps one by one; every so many steps the cache is cut to its budget, by tokens or by
//! pages, sinks and recent tokens protected. Per query head instead of per KV head is a group of one.

use ndarray::Array1;
use obd_core::{AttentionTrace, Head};

use crate::pages::select_pages;
use crate::{GroupReduction, Policy, PolicyError, Tracker};

/// When a group evicts, and in what units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Decode steps from one eviction to the next, at least 1; meanwhile the cache outgrows its budget.
    pub every: usize,
    /// Tokens of a page, at least 1; only whole pages are evicted.
    pub page: usize,
    /// How the query heads' rankings become one.
    pub reduction: GroupReduction,
}

/// The saliencies of one KV head's cache, one per query head, along prefill and decoding.
///
/// Holds, for every query head and cached token, one number and one position: [`GroupTracker::bytes`]. No trace is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTracker {
    trackers: Vec<Tracker>,
    schedule: Schedule,
    steps: usize,
}

impl GroupTracker {
    /// An empty cache that `heads` query heads read under `policy`.
    ///
    /// # Errors
    /// [`PolicyError::Heads`] where there is no head.
    pub fn new(policy: Policy, heads: usize, schedule: Schedule) -> Result<Self, PolicyError> {
        if heads == 0 {
            return Err(PolicyError::Heads { found: 0, expected: 1 });
        }
        Ok(Self {
            trackers: vec![Tracker::new(policy); heads],
            schedule,
            steps: 0,
        })
    }

    /// Takes in a part of the prompt, one head and trace per query head: see [`Tracker::prefill_chunk`].
    ///
    /// # Errors
    /// [`PolicyError`] where the heads are not those of the group or cover another cache; nothing is taken in then.
    pub fn prefill_chunk(&mut self, group: &[(Head, AttentionTrace)], remaining: usize) -> Result<(), PolicyError> {
        self.check(group)?;
        let mut pairs = self.trackers.iter_mut().zip(group);
        pairs.try_for_each(|(tracker, (head, trace))| tracker.prefill_chunk(head, trace, remaining))
    }

    /// Takes in a decode step, one head and trace per query head: see [`Tracker::step`].
    ///
    /// # Errors
    /// [`PolicyError`] where the heads are not those of the group or cover another cache; nothing is taken in then.
    pub fn step(&mut self, group: &[(Head, AttentionTrace)]) -> Result<(), PolicyError> {
        self.check(group)?;
        for (tracker, (head, trace)) in self.trackers.iter_mut().zip(group) {
            tracker.step(head, trace)?;
        }
        self.steps += 1;
        Ok(())
    }

    fn check(&self, group: &[(Head, AttentionTrace)]) -> Result<(), PolicyError> {
        if group.len() != self.trackers.len() {
            return Err(PolicyError::Heads {
                found: group.len(),
                expected: self.trackers.len(),
            });
        }
        let mut pairs = self.trackers.iter().zip(group);
        pairs.try_for_each(|(tracker, (head, trace))| tracker.check(head, trace, head.query_len()))
    }

    /// Whether so many steps have passed since the last eviction that the next is due. An eviction after the prefill is the
    /// caller's to ask for.
    pub fn due(&self) -> bool {
        self.steps >= self.schedule.every.max(1)
    }

    /// What the selection ranks: the heads' rankings, pooled as the policy says, reduced to one; shape (cached).
    pub fn ranking(&self) -> Array1<f64> {
        let rankings: Vec<_> = self
            .trackers
            .iter()
            .map(|tracker| tracker.policy().ranking(tracker.saliency()))
            .collect();
        self.schedule.reduction.reduce(&rankings).unwrap_or_default()
    }

    /// The slots that the policy keeps, ascending; all where the budget holds them.
    ///
    /// # Errors
    /// [`PolicyError::Selection`] where a saliency is NaN or the protected pages exceed the budget.
    pub fn choice(&self) -> Result<Vec<usize>, PolicyError> {
        self.choice_by(&self.ranking())
    }

    /// The slots that another ranking would keep under the same budget, protection and pages: any score of
    /// [`field`](crate::field) over the cached tokens, shape (cached).
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where it is of another shape; as [`GroupTracker::choice`].
    pub fn choice_by(&self, ranking: &Array1<f64>) -> Result<Vec<usize>, PolicyError> {
        let cached = self.positions().len();
        if ranking.len() != cached {
            return Err(PolicyError::TraceLength {
                found: ranking.len(),
                expected: cached,
            });
        }
        let policy = self.trackers[0].policy();
        let budget = policy.budget();
        if budget >= cached {
            return Ok((0..cached).collect());
        }
        let protection = policy.protection();
        Ok(select_pages(
            ranking,
            self.positions(),
            self.schedule.page,
            budget,
            protection,
        )?)
    }

    /// Drops all but the given slots from every head, which must ascend; the next eviction is due after a whole interval.
    ///
    /// # Errors
    /// [`PolicyError::Slots`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), PolicyError> {
        self.trackers.iter_mut().try_for_each(|tracker| tracker.keep(slots))?;
        self.steps = 0;
        Ok(())
    }

    /// Original positions of the cached tokens, ascending.
    pub fn positions(&self) -> &[usize] {
        self.trackers[0].positions()
    }

    /// The query heads' saliencies.
    pub fn trackers(&self) -> &[Tracker] {
        &self.trackers
    }

    /// Bytes that the saliencies and positions take: 16 per query head and cached token. From one eviction to the next the
    /// positions hold room to grow besides, 8 bytes per query head and cached token at most.
    pub fn bytes(&self) -> usize {
        let slot = std::mem::size_of::<f64>() + std::mem::size_of::<usize>();
        self.trackers.len() * self.positions().len() * slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{trace, two_queries};
    use ndarray::{Array2, array};

    const SCHEDULE: Schedule = Schedule {
        every: 2,
        page: 1,
        reduction: GroupReduction::Sum,
    };

    fn policy(heavy: usize, recent: usize) -> Policy {
        Policy::published("h2o_fullhist", heavy, recent).unwrap()
    }

    fn attended(head: Head) -> (Head, AttentionTrace) {
        let trace = trace(&head);
        (head, trace)
    }

    /// One new query of equal weights over `tokens` tokens.
    fn even(tokens: usize) -> (Head, AttentionTrace) {
        attended(Head::new(array![[0.0]], Array2::zeros((tokens, 1)), Array2::ones((tokens, 1))).unwrap())
    }

    #[test]
    fn heads_are_joined_and_evict_together() {
        let mut group = GroupTracker::new(policy(2, 1), 2, SCHEDULE).unwrap();
        let head = Head::new(array![[0.0], [0.0]], Array2::zeros((2, 1)), Array2::ones((2, 1))).unwrap();
        group
            .prefill_chunk(&[attended(head.clone()), attended(head)], 0)
            .unwrap();
        // Weights 1, 0 and 1/2, 1/2 in each head.
        assert_eq!(group.ranking(), array![3.0, 1.0]);
        assert_eq!(group.choice().unwrap(), [0, 1]);
        group.step(&[even(3), even(3)]).unwrap();
        assert!(!group.due());
        group.step(&[even(4), even(4)]).unwrap();
        assert!(group.due());
        assert_eq!(group.bytes(), 2 * 4 * 16);
        let slots = group.choice().unwrap();
        assert_eq!(slots, [0, 1, 3]);
        group.keep(&slots).unwrap();
        assert!(!group.due());
        assert_eq!(group.positions(), [0, 1, 3]);
        assert_eq!(group.trackers().len(), 2);
        assert!(group.trackers().iter().all(|tracker| tracker.positions() == [0, 1, 3]));
    }

    #[test]
    fn pages_go_whole_and_another_ranking_can_choose() {
        let schedule = Schedule { page: 2, ..SCHEDULE };
        let mut group = GroupTracker::new(policy(2, 0), 1, schedule).unwrap();
        for tokens in 1..=4 {
            group.step(&[even(tokens)]).unwrap();
        }
        assert_eq!(group.choice().unwrap(), [0, 1]);
        assert_eq!(group.choice_by(&array![1.0, 1.0, 0.0, 3.0]).unwrap(), [2, 3]);
        let refused = PolicyError::TraceLength { found: 1, expected: 4 };
        assert_eq!(group.choice_by(&array![1.0]), Err(refused));
    }

    #[test]
    fn another_number_of_heads_is_refused_and_nothing_taken_in() {
        assert!(GroupTracker::new(policy(1, 1), 0, SCHEDULE).is_err());
        let mut group = GroupTracker::new(policy(1, 1), 2, SCHEDULE).unwrap();
        let refused = Err(PolicyError::Heads { found: 1, expected: 2 });
        assert_eq!(group.step(&[even(1)]), refused);
        assert!(group.step(&[even(1), even(2)]).is_err());
        assert!(group.prefill_chunk(&[even(1), attended(two_queries())], 0).is_err());
        assert_eq!(group.positions(), [0usize; 0]);
    }
}
