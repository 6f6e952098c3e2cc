//! The sums of every score and every truth of a head over a query window, and the rankings made of them.

use std::collections::HashMap;
use std::num::NonZero;

use ndarray::{Array1, Array2};
use obcache_scores::field::streaming_llm;
use obcache_scores::{Score, accumulate, exact};
use obd_core::{AttentionTrace, Head, Perturbation, Pooling, QueryWindow};
use reference_attention::attend;
use strip_engine::{Column, Engine, Problem};

use crate::names::{Quantity, Ranking};

/// Sinks that StreamingLLM keeps, as its authors do.
const STREAMING_SINKS: usize = 4;

/// SnapKV's pooling kernel of 7 in the published code.
const SNAPKV_RADIUS: usize = 3;

/// Tokens beyond which sums come from the strip engine, which keeps no number for every pair.
const LONG: usize = 512;

/// Where the sums of every score and every truth of one problem come from.
pub(crate) struct Contributions<'a> {
    /// A long problem that the strip engine knows. On one thread: heads run side by side.
    strips: Option<Problem<'a, f64>>,
    /// What the engine has no column for, everything where it does not know the problem; each of shape (query_len, kv_len).
    pairs: HashMap<Quantity, Array2<f64>>,
}

impl<'a> Contributions<'a> {
    pub fn new(head: &'a Head, trace: &AttentionTrace) -> Self {
        let strips = strips(head);
        let pairs = pairs(head, trace, &beside(strips.as_ref()));
        Self { strips, pairs }
    }

    /// Of a head whose trace is not there; it is made only where it is needed.
    pub fn of(head: &'a Head) -> Self {
        let strips = strips(head);
        let pairs = match &beside(strips.as_ref())[..] {
            [] => HashMap::new(),
            quantities => pairs(head, &attend(head), quantities),
        };
        Self { strips, pairs }
    }

    /// Every score and every truth over a window.
    pub fn sums(&self, window: QueryWindow) -> Sums {
        let strips = self.strips.as_ref().map(|problem| {
            let engine = Engine::new().with_threads(NonZero::<usize>::MIN);
            engine.run(&problem.clone().with_queries(window)).swap_remove(0)
        });
        let of = |quantity| match (self.pairs.get(&quantity), &strips, column(quantity)) {
            (Some(pairs), ..) => accumulate(pairs, window),
            (None, Some(strips), Some(column)) => strips.column(column).clone(),
            _ => unreachable!("what has no column is taken from pairs"),
        };
        Sums(Quantity::all().map(|quantity| (quantity, of(quantity))).collect())
    }
}

/// The engine's column that holds a quantity, if it has one.
fn column(quantity: Quantity) -> Option<Column> {
    match quantity {
        Quantity::Score(score) => Column::of_score(score),
        Quantity::Error(what) => Column::of_exact(what),
    }
}

/// The quantities that must be summed over pairs.
fn beside(strips: Option<&Problem<f64>>) -> Vec<Quantity> {
    Quantity::all()
        .filter(|&quantity| strips.is_none() || column(quantity).is_none())
        .collect()
}

fn pairs(head: &Head, trace: &AttentionTrace, quantities: &[Quantity]) -> HashMap<Quantity, Array2<f64>> {
    let of = |quantity| match quantity {
        Quantity::Score(score) => score.contributions(head, trace),
        Quantity::Error(what) => exact::contributions(what, head, trace),
    };
    quantities.iter().map(|&quantity| (quantity, of(quantity))).collect()
}

/// Every quantity over a query window, each of shape (kv_len).
pub(crate) struct Sums(HashMap<Quantity, Array1<f64>>);

impl Sums {
    /// One quantity.
    pub fn of(&self, quantity: Quantity) -> &Array1<f64> {
        self.0.get(&quantity).expect("every quantity is summed")
    }

    /// One score.
    pub fn score(&self, score: Score) -> &Array1<f64> {
        self.of(Quantity::Score(score))
    }

    /// The error of a perturbation.
    pub fn error(&self, what: Perturbation) -> &Array1<f64> {
        self.of(Quantity::Error(what))
    }

    /// The saliencies by which a ranking orders the tokens.
    pub fn ranking(&self, ranking: Ranking) -> Array1<f64> {
        let weight = || self.score(Score::Weight);
        match ranking {
            Ranking::Score(score) => self.score(score).clone(),
            Ranking::WeightMaxPool => Pooling::Max { radius: SNAPKV_RADIUS }.apply(weight()),
            Ranking::WeightAveragePool => Pooling::Average { radius: SNAPKV_RADIUS }.apply(weight()),
            Ranking::StreamingLlm => streaming_llm(weight().len(), STREAMING_SINKS),
        }
    }
}

/// The head as a problem of the strip engine, where it is long and the engine knows its kind of logits.
fn strips(head: &Head) -> Option<Problem<'_, f64>> {
    (head.kv_len() > LONG).then(|| Problem::try_from(head).ok()).flatten()
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
        assert!(by_strips.strips.is_some() && by_strips.pairs.is_empty());
        let trace = attend(&head);
        let all: Vec<Quantity> = Quantity::all().collect();
        let by_pairs = Contributions {
            strips: None,
            pairs: pairs(&head, &trace, &all),
        };
        // As if the engine had no column for these two.
        let without = [Quantity::Score(Score::Key), Quantity::Error(Perturbation::Removal)];
        let by_both = Contributions {
            strips: strips(&head),
            pairs: pairs(&head, &trace, &without),
        };
        // A pair is off by up to 8 n u, n = 513, from its logit, its sums and a difference that is squared; a sum of n pairs
        // by n u more. Both ways together: 18 n u, times 10 for what v - o cancels.
        let tolerance = 180.0 * head.kv_len() as f64 * f64::EPSILON / 2.0;
        for window in [QueryWindow::All, QueryWindow::Last(32)] {
            let (strips, pairs) = (by_strips.sums(window), by_pairs.sums(window));
            let quantities = Quantity::all().map(|quantity| (strips.of(quantity).clone(), pairs.of(quantity).clone()));
            let rankings = Ranking::all().map(|ranking| (strips.ranking(ranking), pairs.ranking(ranking)));
            for (strips, pairs) in quantities.chain(rankings) {
                let largest = pairs.fold(0.0, |largest: f64, sum| largest.max(sum.abs()));
                assert!((&strips - &pairs).iter().all(|gap| gap.abs() <= tolerance * largest));
            }
            let (both, pairs) = (by_both.sums(window), by_pairs.sums(window));
            for quantity in without {
                assert_eq!(both.of(quantity), pairs.of(quantity));
            }
            let weight = Quantity::Score(Score::Weight);
            assert_eq!(both.of(weight), by_strips.sums(window).of(weight));
        }
    }

    #[test]
    fn short_heads_and_what_the_engine_does_not_know_are_summed_over_pairs() {
        let short = head(LONG);
        assert!(Contributions::of(&short).strips.is_none());
        let capped = head(LONG + 1).with_softcap(Softcap::new(30.0).unwrap());
        let trace = attend(&capped);
        assert!(Contributions::new(&capped, &trace).strips.is_none());
    }
}
