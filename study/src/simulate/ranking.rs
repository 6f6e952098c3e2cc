//! What can decide which token dies.

use obcache_scores::field::streaming_llm;
use obcache_scores::select::{Protection, evicted};
use obcache_scores::serve::{Policy, Tracker};
use obcache_scores::{PolicyError, Score};

/// A ranking of the cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// A score, summed over all queries so far, prefill included; what an evicted token once took is not undone.
    Score(Score),
    /// Position alone: sinks and the most recent tokens, StreamingLLM.
    Position,
}

/// Sinks of [`Ranking::Position`].
const SINKS: usize = 4;

impl Ranking {
    /// All that are simulated, in the order of figures and tables.
    pub const ALL: [Self; 7] = [
        Self::Score(Score::Weight),
        Self::Score(Score::Value),
        Self::Score(Score::Key),
        Self::Score(Score::Joint),
        Self::Score(Score::JointMean),
        Self::Score(Score::Removal),
        Self::Position,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Position => "streaming-llm",
        }
    }

    /// The policy that keeps `capacity` tokens, the protected ones among them: the query heads' scores are summed over all
    /// queries.
    pub(super) fn policy(self, capacity: usize, Protection { sinks, recent }: Protection, every: usize) -> Policy {
        Policy {
            score: match self {
                Self::Score(score) => Some(score),
                Self::Position => None,
            },
            recent,
            sinks,
            every,
            ..Policy::unscored(capacity - sinks - recent)
        }
    }

    /// Evicts down to the capacity; the tokens that die, ascending.
    pub(super) fn evict(self, tracker: &mut Tracker) -> Result<Vec<usize>, PolicyError> {
        let cached = tracker.positions().len();
        let kept = match self {
            Self::Score(_) => tracker.choice()?,
            Self::Position => tracker.choice_by(&streaming_llm(cached, SINKS))?,
        };
        let dying = evicted(cached, &kept);
        let dead = dying.into_iter().map(|slot| tracker.positions()[slot]).collect();
        tracker.keep(&kept)?;
        Ok(dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_salient_dies() {
        let ranking = Ranking::Score(Score::Weight);
        let mut tracker = Tracker::new(ranking.policy(2, Protection::default(), 1));
        tracker.take_prefill(3, |_, _, sums| sums[1] = 1.0).unwrap();
        assert_eq!(ranking.evict(&mut tracker), Ok(vec![0]));
        assert_eq!(ranking.evict(&mut tracker), Ok(vec![]));
        assert_eq!(tracker.positions(), [1, 2]);
    }

    #[test]
    fn position_alone_keeps_sinks_and_the_most_recent() {
        let ranking = Ranking::Position;
        let mut tracker = Tracker::new(ranking.policy(5, Protection::default(), 1));
        tracker.take_prefill(7, |_, _, _| unreachable!()).unwrap();
        assert_eq!(ranking.evict(&mut tracker), Ok(vec![4, 5]));
        assert_eq!(tracker.positions(), [0, 1, 2, 3, 6]);
    }

    #[test]
    fn what_is_protected_counts_towards_the_capacity() {
        let policy = Ranking::Position.policy(9, Protection { sinks: 4, recent: 2 }, 3);
        assert_eq!((policy.budget(), policy.heavy, policy.every), (9, 3, 3));
    }
}
