//! The rankings that are compared: every score, and the heuristics built on the weight and on position.

use std::num::NonZero;

use ndarray::{Array1, Array2};
use obcache_scores::strip::{Engine, Problem};
use obcache_scores::{Pooling, Score, accumulate, exact, streaming_llm};
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow};
use reference_attention::attend;

/// Sinks that StreamingLLM keeps, as its authors do.
const STREAMING_SINKS: usize = 4;

/// SnapKV's pooling kernel of 7 in the published code.
const SNAPKV_RADIUS: usize = 3;

/// Names of all rankings, in the order of the report.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = Score::ALL.map(|score| score.name().to_owned()).into();
    names.extend(["weight-maxpool", "weight-avgpool", "streaming-llm"].map(str::to_owned));
    names
}

/// Tokens beyond which sums come from the strip engine, which keeps no number for every pair.
const LONG: usize = 512;

/// Where the sums of every score and every truth of one problem come from.
pub(crate) enum Contributions<'a> {
    /// Contributions, each of shape (query_len, kv_len).
    Pairs {
        scores: Vec<Array2<f64>>,
        truths: Vec<Array2<f64>>,
    },
    /// A long problem that the strip engine knows. On one thread: heads run side by side.
    Strips(Problem<'a, f64>),
}

impl<'a> Contributions<'a> {
    pub fn new(head: &'a Head, trace: &AttentionTrace) -> Self {
        strips(head).unwrap_or_else(|| Self::pairs(head, trace))
    }

    /// Of a head whose trace is not there.
    pub fn of(head: &'a Head) -> Self {
        strips(head).unwrap_or_else(|| Self::pairs(head, &attend(head)))
    }

    fn pairs(head: &Head, trace: &AttentionTrace) -> Self {
        let scores = Score::ALL.map(|score| score.contributions(head, trace));
        let truths = Perturbation::ALL.map(|what| exact::contributions(what, head, trace));
        Self::Pairs {
            scores: scores.into(),
            truths: truths.into(),
        }
    }

    /// Every score and every truth over a window.
    pub fn sums(&self, window: QueryWindow) -> Sums {
        match self {
            Self::Pairs { scores, truths } => {
                let over = |pairs: &[Array2<f64>]| pairs.iter().map(|pairs| accumulate(pairs, window)).collect();
                Sums {
                    scores: over(scores),
                    truths: over(truths),
                }
            }
            Self::Strips(problem) => {
                let engine = Engine::new().with_threads(NonZero::<usize>::MIN);
                let saliencies = engine.run(&problem.clone().with_queries(window)).swap_remove(0);
                Sums {
                    scores: Score::ALL.map(|score| saliencies.score(score).clone()).into(),
                    truths: Perturbation::ALL.map(|what| saliencies.exact(what).clone()).into(),
                }
            }
        }
    }
}

/// Sums over a query window, each of shape (kv_len).
pub(crate) struct Sums {
    /// The scores of [`Score::ALL`].
    pub scores: Vec<Array1<f64>>,
    /// The truths of [`Perturbation::ALL`].
    pub truths: Vec<Array1<f64>>,
}

impl Sums {
    /// The rankings of [`names`].
    pub fn rankings(&self) -> Vec<Array1<f64>> {
        let mut rankings = self.scores.clone();
        let weight = &self.scores[Score::ALL.len() - 1];
        rankings.push(Pooling::Max { radius: SNAPKV_RADIUS }.apply(weight));
        rankings.push(Pooling::Average { radius: SNAPKV_RADIUS }.apply(weight));
        rankings.push(streaming_llm(weight.len(), STREAMING_SINKS));
        rankings
    }
}

/// The head as a problem of the strip engine, where it is long and the engine knows its kind of logits.
fn strips(head: &Head) -> Option<Contributions<'_>> {
    let problem = (head.kv_len() > LONG).then(|| Problem::try_from(head).ok());
    problem.flatten().map(Contributions::Strips)
}

#[cfg(test)]
mod tests {
    use obd_core::Softcap;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn head(tokens: usize) -> Head {
        let mut random = ChaCha8Rng::seed_from_u64(20);
        let mut rows = |channels| Array2::from_shape_simple_fn((tokens, channels), || random.random_range(-2.0..2.0));
        Head::new(rows(4), rows(4), rows(3)).unwrap()
    }

    #[test]
    fn long_heads_are_summed_by_strips_to_the_same_numbers() {
        let head = head(LONG + 1);
        let by_strips = Contributions::of(&head);
        assert!(matches!(by_strips, Contributions::Strips(_)));
        let trace = attend(&head);
        let by_pairs = Contributions::pairs(&head, &trace);
        // A pair is off by up to 8 n u, n = 513, from its logit, its sums and a difference that is squared; a sum of n pairs
        // by n u more. Both ways together: 18 n u, times 10 for what v - o cancels.
        let tolerance = 180.0 * head.kv_len() as f64 * f64::EPSILON / 2.0;
        for window in [QueryWindow::All, QueryWindow::Last(32)] {
            let sums = |from: &Contributions| {
                let sums = from.sums(window);
                [sums.rankings(), sums.truths].concat()
            };
            for (strips, pairs) in sums(&by_strips).iter().zip(&sums(&by_pairs)) {
                let largest = pairs.fold(0.0, |largest: f64, sum| largest.max(sum.abs()));
                assert!((strips - pairs).iter().all(|gap| gap.abs() <= tolerance * largest));
            }
        }
    }

    #[test]
    fn short_heads_and_what_the_engine_does_not_know_are_summed_over_pairs() {
        let short = head(LONG);
        assert!(matches!(Contributions::of(&short), Contributions::Pairs { .. }));
        let capped = head(LONG + 1).with_softcap(Softcap::new(30.0).unwrap());
        let trace = attend(&capped);
        assert!(matches!(
            Contributions::new(&capped, &trace),
            Contributions::Pairs { .. }
        ));
    }
}
