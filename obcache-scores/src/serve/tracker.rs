//! A cache under a budget, as the query heads of one KV head share it: they evict together.
//!
//! The prompt comes at once or in chunks, decode steps one by one; every so many steps the cache is cut to its budget, by tokens
//! or by pages, sinks and recent tokens protected. A group of one query head is a cache of its own for each, as the published
//! code evicts. The tracker is fed traces, or sums by whoever computed them, such as the strip engine; it never runs attention.

use ndarray::Array1;
use obd_core::check_slots;

use super::Policy;
use crate::select::{Budget, select, select_pages};
use crate::{PolicyError, Score};

/// The cached tokens of one KV head, and the saliency that each of its query heads gives them, along prefill and decoding. Claim C18.
///
/// Holds a position for every cached token, and a number for every query head and cached token: [`Tracker::bytes`]. No trace is
/// kept.
///
/// ```
/// use ndarray::array;
/// use obcache_scores::serve::{Policy, Tracker};
///
/// // Two query heads whose saliencies someone has summed over a prompt of three tokens.
/// let summed = [array![3.0, 0.0, 1.0], array![0.0, 2.0, 2.0]];
/// let policy = Policy::published("h2o_fullhist", 1, 1).unwrap();
/// let mut tracker = Tracker::group(policy, 2).unwrap();
/// tracker.take_prefill(3, |head, _score, sums| *sums += &summed[head]).unwrap();
/// assert_eq!(tracker.ranking().unwrap(), array![3.0, 2.0, 3.0]);
/// let slots = tracker.choice().unwrap();
/// tracker.keep(&slots).unwrap();
/// assert_eq!(tracker.positions(), [0, 2]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    policy: Policy,
    query_heads: usize,
    /// Original positions of the cached tokens, ascending.
    positions: Vec<usize>,
    /// Tokens that ever joined.
    seen: usize,
    /// One a query head, shape (cached); none where nothing is scored.
    saliencies: Vec<Array1<f64>>,
    /// Decode steps since the last eviction.
    steps: usize,
}

impl Tracker {
    /// An empty cache of one query head.
    pub fn new(policy: Policy) -> Self {
        Self::empty(policy, 1)
    }

    /// An empty cache that `query_heads` query heads share.
    ///
    /// # Errors
    /// [`PolicyError::Heads`] where there is no head.
    pub fn group(policy: Policy, query_heads: usize) -> Result<Self, PolicyError> {
        if query_heads == 0 {
            return Err(PolicyError::Heads { found: 0, expected: 1 });
        }
        Ok(Self::empty(policy, query_heads))
    }

    fn empty(policy: Policy, query_heads: usize) -> Self {
        let scored = if policy.score.is_some() { query_heads } else { 0 };
        Self {
            policy,
            query_heads,
            positions: Vec::new(),
            seen: 0,
            saliencies: vec![Array1::zeros(0); scored],
            steps: 0,
        }
    }

    /// Takes in a prompt of `tokens` tokens from whoever sums its saliencies: `add(query_head, score, sums)` adds those of the
    /// policy's [`prefill_window`](Policy::prefill_window) to zeros of shape (tokens). It is called once per query head of the
    /// group, and never where the policy scores nothing.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where tokens are cached already; nothing is taken in then.
    pub fn take_prefill(
        &mut self,
        tokens: usize,
        add: impl FnMut(usize, Score, &mut Array1<f64>),
    ) -> Result<(), PolicyError> {
        self.check_length(tokens, tokens)?;
        self.join(tokens, false, add);
        Ok(())
    }

    /// Takes in a decode step over the cached tokens followed by one new token, `kv_len` in all: `add(query_head, score, sums)`
    /// adds the step's saliencies to sums of shape (kv_len). It is called once per query head of the group, and never where the
    /// policy scores nothing.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where the step does not cover so many tokens; nothing is taken in then.
    pub fn take_step(
        &mut self,
        kv_len: usize,
        add: impl FnMut(usize, Score, &mut Array1<f64>),
    ) -> Result<(), PolicyError> {
        self.check_length(kv_len, 1)?;
        self.join_step(1, add);
        Ok(())
    }

    /// `new` tokens join; `add` adds to each query head's sums: to what they were, or to zeros.
    pub(super) fn join(&mut self, new: usize, accumulate: bool, mut add: impl FnMut(usize, Score, &mut Array1<f64>)) {
        if let Some(score) = self.policy.score {
            for (query_head, sums) in self.saliencies.iter_mut().enumerate() {
                grow(sums, self.positions.len() + new, accumulate);
                add(query_head, score, sums);
            }
        }
        self.positions.extend(self.seen..self.seen + new);
        self.seen += new;
    }

    /// As [`Tracker::join`], as a decode step does.
    pub(super) fn join_step(&mut self, new: usize, add: impl FnMut(usize, Score, &mut Array1<f64>)) {
        self.join(new, self.policy.accumulate, add);
        self.steps += 1;
    }

    /// Refuses a length that is not that of the cached tokens and the new ones.
    fn check_length(&self, found: usize, new: usize) -> Result<(), PolicyError> {
        let expected = self.positions.len() + new;
        if found != expected {
            return Err(PolicyError::TraceLength { found, expected });
        }
        Ok(())
    }

    /// Whether so many steps have passed since the last eviction that the next is due. An eviction after the prefill is the
    /// caller's to ask for.
    pub fn due(&self) -> bool {
        self.steps >= self.policy.every.max(1)
    }

    /// What the selection ranks: the query heads' saliencies, joined and then pooled as the policy says, shape (cached).
    ///
    /// # Errors
    /// [`PolicyError::Unscored`] where the policy has no score.
    pub fn ranking(&self) -> Result<Array1<f64>, PolicyError> {
        match self.policy.score {
            Some(_) => Ok(self.policy.ranking(&self.saliencies)),
            None => Err(PolicyError::Unscored),
        }
    }

    /// The slots that the policy keeps, ascending; all where the budget holds them.
    ///
    /// # Errors
    /// [`PolicyError::Selection`] where a saliency is NaN or the protected pages exceed the budget; [`PolicyError::Unscored`]
    /// where the policy has no score to choose by.
    pub fn choice(&self) -> Result<Vec<usize>, PolicyError> {
        if self.policy.budget() >= self.positions.len() {
            return Ok((0..self.positions.len()).collect());
        }
        self.choice_by(&self.ranking()?)
    }

    /// The slots that another ranking keeps under the same budget, protection and pages: any score of [`field`](crate::field)
    /// over the cached tokens, shape (cached).
    ///
    /// # Errors
    /// [`PolicyError::RankingLength`] where it is of another shape; as [`Tracker::choice`].
    pub fn choice_by(&self, ranking: &Array1<f64>) -> Result<Vec<usize>, PolicyError> {
        let cached = self.positions.len();
        if ranking.len() != cached {
            return Err(PolicyError::RankingLength {
                found: ranking.len(),
                expected: cached,
            });
        }
        let (budget, protection) = (self.policy.budget(), self.policy.protection());
        if budget >= cached {
            return Ok((0..cached).collect());
        }
        Ok(match self.policy.page {
            0 | 1 => select(ranking, Budget::Tokens(budget), protection)?,
            page => select_pages(ranking, &self.positions, page, budget, protection)?,
        })
    }

    /// Drops all but the given slots, which must ascend; the next eviction is due after a whole interval.
    ///
    /// # Errors
    /// [`PolicyError::Slots`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), PolicyError> {
        check_slots(slots, self.positions.len())?;
        self.positions = slots.iter().map(|&slot| self.positions[slot]).collect();
        for sums in &mut self.saliencies {
            *sums = slots.iter().map(|&slot| sums[slot]).collect();
        }
        self.steps = 0;
        Ok(())
    }

    /// Forgets the oldest tokens, at most all, which a sliding window hides from all queries to come. This is no eviction: the
    /// next is due when it was.
    pub fn forget_oldest(&mut self, tokens: usize) {
        let tokens = tokens.min(self.positions.len());
        self.positions.drain(..tokens);
        for sums in &mut self.saliencies {
            let (mut numbers, _) = std::mem::take(sums).into_raw_vec_and_offset();
            numbers.drain(..tokens);
            *sums = Array1::from_vec(numbers);
        }
    }

    /// What one query head of the group would hold if it had the cached tokens for its own.
    ///
    /// # Panics
    /// Where there is no such head.
    pub fn of_query_head(&self, query_head: usize) -> Self {
        assert!(query_head < self.query_heads, "one of {} query heads", self.query_heads);
        Self {
            query_heads: 1,
            saliencies: self.saliencies.iter().skip(query_head).take(1).cloned().collect(),
            policy: self.policy.clone(),
            positions: self.positions.clone(),
            ..*self
        }
    }

    /// Query heads that share the cache.
    pub fn query_heads(&self) -> usize {
        self.query_heads
    }

    /// Original positions of the cached tokens, ascending.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Tokens that ever joined, evicted ones included: the position of the next.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Saliency of the cached tokens by each query head, never pooled, shape (cached); none where nothing is scored.
    pub fn saliencies(&self) -> &[Array1<f64>] {
        &self.saliencies
    }

    /// The policy it follows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Bytes that positions and saliencies take: 8 per cached token, and 8 per query head and cached token. From one eviction to
    /// the next they hold room to grow besides, as much again at most.
    pub fn bytes(&self) -> usize {
        let token = size_of::<usize>() + self.saliencies.len() * size_of::<f64>();
        self.positions.len() * token
    }
}

/// Makes room for new tokens behind the sums, or behind zeros in their place. In place, and with room to grow: a step makes no
/// new array.
fn grow(sums: &mut Array1<f64>, tokens: usize, accumulate: bool) {
    let (mut numbers, _) = std::mem::take(sums).into_raw_vec_and_offset();
    if !accumulate {
        numbers.fill(0.0);
    }
    numbers.resize(tokens, 0.0);
    *sums = Array1::from_vec(numbers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use obd_core::SlotsError;

    fn weights(heavy: usize, recent: usize) -> Policy {
        Policy::published("h2o", heavy, recent).unwrap()
    }

    /// One query head after a prefill of this saliency.
    fn tracked(policy: Policy, saliency: Array1<f64>) -> Tracker {
        let mut tracker = Tracker::new(policy);
        let add = |_, _, sums: &mut Array1<f64>| sums.assign(&saliency);
        tracker.take_prefill(saliency.len(), add).unwrap();
        tracker
    }

    #[test]
    fn sinks_are_kept_on_top() {
        let policy = Policy {
            sinks: 1,
            ..weights(1, 1)
        };
        let tracker = tracked(policy, array![0.0, 1.0, 3.0, 2.0]);
        assert_eq!(tracker.policy().budget(), 3);
        assert_eq!(tracker.choice().unwrap(), [0, 2, 3]);
    }

    #[test]
    fn a_budget_that_holds_all_keeps_all() {
        let tracker = tracked(weights(2, 1), array![0.0, 0.0, 0.0]);
        assert_eq!(tracker.choice().unwrap(), [0, 1, 2]);
        assert_eq!(tracker.policy(), &weights(2, 1));
    }

    #[test]
    fn slots_must_ascend_and_exist() {
        let mut tracker = tracked(weights(1, 1), array![0.0, 0.0, 0.0]);
        for (slots, place, slot) in [(&[1, 1][..], 1, 1), (&[2, 1], 1, 1), (&[3], 0, 3)] {
            let refused = SlotsError { place, slot, cached: 3 };
            assert_eq!(tracker.keep(slots), Err(PolicyError::Slots(refused)));
        }
        tracker.keep(&[]).unwrap();
        assert_eq!(tracker.positions(), [0usize; 0]);
    }

    #[test]
    fn pages_go_whole_and_another_ranking_can_choose() {
        let policy = Policy {
            page: 2,
            ..weights(2, 0)
        };
        let tracker = tracked(policy, array![4.0, 1.0, 2.0, 2.0]);
        assert_eq!(tracker.choice().unwrap(), [0, 1]);
        assert_eq!(tracker.choice_by(&array![1.0, 1.0, 0.0, 3.0]).unwrap(), [2, 3]);
        let refused = PolicyError::RankingLength { found: 1, expected: 4 };
        assert_eq!(tracker.choice_by(&array![1.0]), Err(refused));
    }

    #[test]
    fn without_a_score_tokens_are_remembered_and_others_choose() {
        let mut tracker = Tracker::group(Policy::unscored(2), 2).unwrap();
        tracker.take_prefill(3, |_, _, _| unreachable!()).unwrap();
        assert_eq!(tracker.choice(), Err(PolicyError::Unscored));
        assert_eq!(tracker.choice_by(&array![1.0, 0.0, 2.0]).unwrap(), [0, 2]);
        tracker.keep(&[0, 2]).unwrap();
        assert_eq!(tracker.choice().unwrap(), [0, 1]);
        tracker.take_step(3, |_, _, _| unreachable!()).unwrap();
        assert_eq!((tracker.positions(), tracker.bytes()), (&[0, 2, 3][..], 3 * 8));
        assert_eq!(tracker.saliencies(), [0.0; 0].map(|x: f64| array![x]));
    }

    #[test]
    fn the_oldest_are_forgotten_without_an_eviction() {
        let mut tracker = tracked(weights(2, 1), array![1.0, 2.0, 3.0]);
        tracker.take_step(4, |_, _, sums| *sums += 1.0).unwrap();
        tracker.forget_oldest(2);
        assert_eq!(tracker.positions(), [2, 3]);
        assert_eq!(tracker.saliencies(), [array![4.0, 1.0]]);
        assert!(tracker.due());
        tracker.forget_oldest(9);
        assert_eq!((tracker.positions().len(), tracker.seen()), (0, 4));
    }

    #[test]
    fn a_query_head_of_a_group_takes_its_own_saliency_along() {
        let mut tracker = Tracker::group(weights(1, 1), 2).unwrap();
        let summed = [array![1.0, 2.0], array![3.0, 4.0]];
        tracker
            .take_prefill(2, |head, _, sums| sums.assign(&summed[head]))
            .unwrap();
        let second = tracker.of_query_head(1);
        assert_eq!(
            (second.query_heads(), second.positions(), second.saliencies()),
            (1, &[0, 1][..], &summed[1..])
        );
    }
}
