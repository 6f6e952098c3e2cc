//! The cache of one KV head under a ranking: who is in it, what each token's score has come to, and who dies.

use ndarray::{Array2, Axis};
use obcache_scores::{Budget, Protection, SelectionError, select};
use obd_core::{AttentionTrace, Head, ProblemError, Visibility};
use reference_attention::attend;

use super::ranking::Ranking;

/// Cached tokens, oldest first, each with its accumulated score.
pub(super) struct Cache {
    ranking: Ranking,
    /// Tokens kept once the cache is full.
    capacity: usize,
    protection: Protection,
    pub tokens: Vec<usize>,
    scores: Vec<f64>,
}

impl Cache {
    /// A cache after prefill: the first tokens, with their scores.
    pub fn new(ranking: Ranking, capacity: usize, protection: Protection, scores: Vec<f64>) -> Self {
        Self {
            ranking,
            capacity,
            protection,
            tokens: (0..scores.len()).collect(),
            scores,
        }
    }

    /// The next token joins, with nothing to its score yet.
    pub fn join(&mut self, token: usize) {
        self.tokens.push(token);
        self.scores.push(0.0);
    }

    /// What query `query` of each head of the group sees of the cache, as a head of one query with its trace.
    pub fn attend(&self, group: &[Head], query: usize) -> Result<Vec<(Head, AttentionTrace)>, ProblemError> {
        let heads = group.iter().map(|head| {
            let seen = one_query(head, query, &self.tokens)?;
            let trace = attend(&seen);
            Ok((seen, trace))
        });
        heads.collect()
    }

    /// Adds what the query of `seen` says of every cached token, summed over the heads of the group.
    pub fn score(&mut self, seen: &[(Head, AttentionTrace)]) {
        let Ranking::Score(score) = self.ranking else { return };
        for (head, trace) in seen {
            let contributions = score.contributions(head, trace);
            for (sum, contribution) in self.scores.iter_mut().zip(contributions.row(0)) {
                *sum += contribution;
            }
        }
    }

    /// Evicts down to the capacity; the tokens that die, ascending.
    pub fn evict(&mut self) -> Result<Vec<usize>, SelectionError> {
        if self.tokens.len() <= self.capacity {
            return Ok(Vec::new());
        }
        let saliency = self.ranking.saliency(&self.scores);
        let kept = select(&saliency, Budget::Tokens(self.capacity), self.protection)?;
        let dying = (0..self.tokens.len()).filter(|slot| kept.binary_search(slot).is_err());
        let dead = dying.map(|slot| self.tokens[slot]).collect();
        self.tokens = kept.iter().map(|&slot| self.tokens[slot]).collect();
        self.scores = kept.iter().map(|&slot| self.scores[slot]).collect();
        Ok(dead)
    }
}

/// One query of a head over some of its tokens, which it sees as it did; keys keep the positions they were encoded at.
fn one_query(head: &Head, query: usize, tokens: &[usize]) -> Result<Head, ProblemError> {
    let visible = Array2::from_shape_fn((1, tokens.len()), |(_, slot)| {
        head.visibility().visible(query, tokens[slot])
    });
    let mut seen = Head::new(
        head.query().select(Axis(0), &[query]),
        head.key().select(Axis(0), tokens),
        head.value().select(Axis(0), tokens),
    )?
    .with_scale(head.scale())?
    .with_visibility(Visibility::from_mask(visible))?;
    if let Some(softcap) = head.softcap() {
        seen = seen.with_softcap(softcap);
    }
    match head.sink() {
        Some(sink) => seen.with_sink(sink),
        None => Ok(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use obcache_scores::Score;

    fn head() -> Head {
        let key = array![[0.0], [2f64.ln()], [5f64.ln()]];
        Head::new(array![[0.0], [1.0], [1.0]], key, array![[8.0], [4.0], [0.0]]).unwrap()
    }

    #[test]
    fn a_step_by_hand() {
        let mut cache = Cache::new(Ranking::Score(Score::Weight), 2, Protection::default(), vec![0.1, 0.2]);
        cache.join(2);
        // The last query: weights 1/8, 2/8, 5/8, output 2.
        let seen = cache.attend(&[head()], 2).unwrap();
        assert!((seen[0].1.output[[0, 0]] - 2.0).abs() < 1e-14);
        cache.score(&seen);
        // 0.225, 0.45, 0.625.
        assert_eq!((cache.evict(), &cache.tokens), (Ok(vec![0]), &vec![1, 2]));
        assert_eq!(cache.evict(), Ok(vec![]));
        let seen = cache.attend(&[head()], 2).unwrap();
        assert!((seen[0].1.output[[0, 0]] - 8.0 / 7.0).abs() < 1e-14);
    }

    #[test]
    fn position_alone_keeps_sinks_and_the_most_recent() {
        let mut cache = Cache::new(Ranking::Position, 5, Protection::default(), vec![9.0; 7]);
        assert_eq!(cache.evict(), Ok(vec![4, 5]));
        cache.score(&[]);
        assert_eq!(cache.tokens, [0, 1, 2, 3, 6]);
    }

    #[test]
    fn a_query_sees_what_it_saw() {
        let windowed = head()
            .with_visibility(Visibility::all(3, 3).causal().sliding_window(2).unwrap())
            .unwrap();
        let windowed = windowed
            .with_sink(1.0)
            .unwrap()
            .with_softcap(obd_core::Softcap::new(2.0).unwrap());
        let seen = one_query(&windowed, 2, &[0, 2]).unwrap();
        assert!(!seen.visibility().visible(0, 0) && seen.visibility().visible(0, 1));
        assert_eq!(
            (seen.sink(), seen.softcap(), seen.scale()),
            (windowed.sink(), windowed.softcap(), windowed.scale())
        );
    }
}
