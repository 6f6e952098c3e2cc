//! A cache under a budget: saliencies accumulate over prefill and decoding, and tokens are evicted as they go.
//!
//! The tracker is fed traces, or what the strip engine yields; it never runs attention. It follows one query head.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::strip::{Element, Saliencies, Step};
use crate::{Budget, PolicyError, Pooling, Protection, Score, accumulate, select};

/// How a tracked cache scores and evicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What is accumulated.
    pub score: Score,
    /// The queries of the prefill that count.
    pub prefill_window: QueryWindow,
    /// Whether each step adds to the saliency; otherwise only the last query counts, as in TOVA.
    pub accumulate: bool,
    /// Pooling over the selectable tokens, at selection only: the saliency itself is never pooled.
    pub pooling: Option<Pooling>,
    /// Tokens kept for their saliency.
    pub heavy: usize,
    /// Tokens kept for being the newest.
    pub recent: usize,
    /// Tokens kept for being the oldest in the cache, on top of the others.
    pub sinks: usize,
}

impl Policy {
    /// The policy that the authors' code calls `variant`, with its budgets.
    ///
    /// Names: `h2o`, `tova`, `snapkv`, `snapkv_avgpool`, or `obcV`, `obcK`, `obcVK`, `obcV_p1`, `obcVK_no_cross`, with
    /// `_fullhist` (all prefill queries instead of the last `recent`), `+tova` (last query only; the recent budget joins
    /// the heavy one), `+maxpool` or `+avgpool` (kernel 7).
    ///
    /// # Errors
    /// [`PolicyError::UnknownVariant`] for any other name.
    pub fn published(variant: &str, heavy: usize, recent: usize) -> Result<Self, PolicyError> {
        let (base, modifier) = match variant {
            "tova" => ("h2o", "+tova"),
            "snapkv" => ("h2o", "+maxpool"),
            "snapkv_avgpool" => ("h2o", "+avgpool"),
            _ => split_modifier(variant),
        };
        let score = match base {
            "h2o" => Score::Weight,
            "obcV" => Score::Value,
            "obcV_p1" => Score::ValueOneNorm,
            "obcK" => Score::Key,
            "obcVK" => Score::Joint,
            "obcVK_no_cross" => Score::JointNoCross,
            _ => return Err(PolicyError::UnknownVariant(variant.to_owned())),
        };
        let plain = Self {
            score,
            prefill_window: QueryWindow::Last(recent),
            accumulate: true,
            pooling: None,
            heavy,
            recent,
            sinks: 0,
        };
        Ok(match modifier {
            "_fullhist" => Self {
                prefill_window: QueryWindow::All,
                ..plain
            },
            "+maxpool" => Self {
                pooling: Some(Pooling::Max { radius: 3 }),
                ..plain
            },
            "+avgpool" => Self {
                pooling: Some(Pooling::Average { radius: 3 }),
                ..plain
            },
            "+tova" => Self {
                prefill_window: QueryWindow::Last(1),
                accumulate: false,
                heavy: heavy + recent,
                recent: 0,
                ..plain
            },
            _ => plain,
        })
    }

    /// What the selection ranks: the saliency, its selectable part pooled; shape as given.
    pub fn ranking(&self, saliency: &Array1<f64>) -> Array1<f64> {
        let Some(pooling) = self.pooling else {
            return saliency.clone();
        };
        let selectable = self.protection().selectable(saliency.len());
        let mut ranking = saliency.clone();
        let pooled = pooling.apply(&saliency.slice(ndarray::s![selectable.clone()]).to_owned());
        ranking.slice_mut(ndarray::s![selectable]).assign(&pooled);
        ranking
    }

    /// Tokens kept in all.
    pub fn budget(&self) -> usize {
        self.heavy.saturating_add(self.recent).saturating_add(self.sinks)
    }

    /// Tokens kept whatever their saliency.
    pub fn protection(&self) -> Protection {
        Protection {
            sinks: self.sinks,
            recent: self.recent,
        }
    }
}

/// The variant's name without its modifier, and the modifier, empty where there is none.
fn split_modifier(variant: &str) -> (&str, &'static str) {
    for modifier in ["_fullhist", "+tova", "+maxpool", "+avgpool"] {
        if let Some(base) = variant.strip_suffix(modifier) {
            return (base, modifier);
        }
    }
    (variant, "")
}

/// The saliencies of one query head's cache along prefill and decoding.
///
/// Holds one number and one position per cached token.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    policy: Policy,
    positions: Vec<usize>,
    saliency: Array1<f64>,
    seen: usize,
}

impl Tracker {
    /// An empty cache under `policy`.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            positions: Vec::new(),
            saliency: Array1::zeros(0),
            seen: 0,
        }
    }

    /// Takes in the prefill: queries and tokens of `head` are the whole prompt, kv_len tokens join the cache.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where tokens are cached already.
    pub fn prefill(&mut self, head: &Head, trace: &AttentionTrace) -> Result<(), PolicyError> {
        self.check(head, trace, head.kv_len())?;
        self.join(head, trace, head.kv_len(), self.policy.prefill_window, false);
        Ok(())
    }

    /// Takes in a part of the prompt: the queries of `head` are new, its tokens are the cached ones followed by one new token
    /// per query, and `remaining` queries of the prompt are still to come. Of the policy's window those count that lie in this
    /// part, so that the parts add up to [`Tracker::prefill`].
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where `head` does not hold so many tokens.
    pub fn prefill_chunk(&mut self, head: &Head, trace: &AttentionTrace, remaining: usize) -> Result<(), PolicyError> {
        let window = match self.policy.prefill_window {
            QueryWindow::All => QueryWindow::All,
            QueryWindow::Last(queries) => QueryWindow::Last(queries.saturating_sub(remaining)),
        };
        self.check(head, trace, head.query_len())?;
        self.join(head, trace, head.query_len(), window, true);
        Ok(())
    }

    /// Takes in a decode step: the queries of `head` are new, its tokens are the cached ones followed by one new token
    /// per query.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where `head` does not hold so many tokens.
    pub fn step(&mut self, head: &Head, trace: &AttentionTrace) -> Result<(), PolicyError> {
        let window = if self.policy.accumulate {
            QueryWindow::All
        } else {
            QueryWindow::Last(1)
        };
        self.check(head, trace, head.query_len())?;
        self.join(head, trace, head.query_len(), window, self.policy.accumulate);
        Ok(())
    }

    /// Takes in the prefill from the strip engine: the saliencies of the prompt's tokens, which join the cache. The engine's
    /// problem says which queries count: the policy's [`prefill_window`](Policy::prefill_window), unless told otherwise.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where tokens are cached already.
    pub fn take_prefill<T: Element>(&mut self, saliencies: &Saliencies<T>) -> Result<(), PolicyError> {
        let saliency = saliencies.score(self.policy.score);
        self.check_length(saliency.len(), saliency.len())?;
        self.saliency = saliency.clone();
        self.join_positions(saliency.len());
        Ok(())
    }

    /// Takes in a decode step of the strip engine, whose cache holds the cached tokens followed by one new token; `head` is
    /// the query head that is followed.
    ///
    /// # Errors
    /// [`PolicyError::TraceLength`] where the step does not cover so many tokens.
    ///
    /// # Panics
    /// Where the step has no such head.
    pub fn take_step<T: Element>(&mut self, step: &Step<T>, head: usize) -> Result<(), PolicyError> {
        self.check_length(step.kv_len(), 1)?;
        // In place, and with room to grow: a step makes no new array.
        let mut saliency = std::mem::take(&mut self.saliency).into_raw_vec_and_offset().0;
        if !self.policy.accumulate {
            saliency.fill(0.0);
        }
        saliency.resize(step.kv_len(), 0.0);
        self.saliency = Array1::from_vec(saliency);
        step.add_to(head, self.policy.score, &mut self.saliency);
        self.join_positions(1);
        Ok(())
    }

    /// Refuses a head or trace that does not cover the cached tokens and `new` ones.
    pub(crate) fn check(&self, head: &Head, trace: &AttentionTrace, new: usize) -> Result<(), PolicyError> {
        let expected = self.positions.len() + new;
        if head.kv_len() != expected || trace.weights.dim() != (head.query_len(), expected) {
            return Err(PolicyError::TraceLength {
                found: trace.weights.ncols(),
                expected,
            });
        }
        Ok(())
    }

    /// Adds `new` tokens and the saliency that the queries of `window` give to all, on top of what they have where `add`.
    fn join(&mut self, head: &Head, trace: &AttentionTrace, new: usize, window: QueryWindow, add: bool) {
        let contributions: Array2<f64> = self.policy.score.contributions(head, trace);
        let mut saliency = accumulate(&contributions, window);
        if add {
            for (sum, before) in saliency.iter_mut().zip(&self.saliency) {
                *sum += before;
            }
        }
        self.saliency = saliency;
        self.join_positions(new);
    }

    /// Refuses a length that is not that of the cached tokens and the new ones.
    fn check_length(&self, found: usize, new: usize) -> Result<(), PolicyError> {
        let expected = self.positions.len() + new;
        if found != expected {
            return Err(PolicyError::TraceLength { found, expected });
        }
        Ok(())
    }

    fn join_positions(&mut self, new: usize) {
        self.positions.extend(self.seen..self.seen + new);
        self.seen += new;
    }

    /// The slots that the policy keeps, ascending; all where the budget holds them.
    ///
    /// # Errors
    /// [`PolicyError::Selection`] where a saliency is NaN.
    pub fn choice(&self) -> Result<Vec<usize>, PolicyError> {
        let budget = self.policy.budget();
        if budget >= self.positions.len() {
            return Ok((0..self.positions.len()).collect());
        }
        let ranking = self.policy.ranking(&self.saliency);
        Ok(select(&ranking, Budget::Tokens(budget), self.policy.protection())?)
    }

    /// Drops all but the given slots, which must ascend.
    ///
    /// # Errors
    /// [`PolicyError::Slots`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), PolicyError> {
        check_slots(slots, self.positions.len())?;
        self.positions = slots.iter().map(|&slot| self.positions[slot]).collect();
        self.saliency = slots.iter().map(|&slot| self.saliency[slot]).collect();
        Ok(())
    }

    /// Original positions of the cached tokens, ascending.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Saliency of the cached tokens, never pooled, shape (cached).
    pub fn saliency(&self) -> &Array1<f64> {
        &self.saliency
    }

    /// The policy it follows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// Refuses slots that do not ascend or that are not among those cached.
pub(crate) fn check_slots(slots: &[usize], cached: usize) -> Result<(), PolicyError> {
    let ascending = slots.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascending || slots.last().is_some_and(|&slot| slot >= cached) {
        return Err(PolicyError::Slots { cached });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strip::{Cache, Decoder, Engine, Problem};
    use crate::test_heads::{trace, two_queries};
    use ndarray::array;

    fn weights(heavy: usize, recent: usize) -> Policy {
        Policy::published("h2o", heavy, recent).unwrap()
    }

    /// One query of equal weights over `tokens` tokens.
    fn even(tokens: usize) -> Head {
        Head::new(array![[0.0]], Array2::zeros((tokens, 1)), Array2::ones((tokens, 1))).unwrap()
    }

    #[test]
    fn variants_are_told_apart() {
        let plain = weights(4, 2);
        assert_eq!(plain.score, Score::Weight);
        assert_eq!(
            (plain.prefill_window, plain.accumulate, plain.pooling),
            (QueryWindow::Last(2), true, None)
        );
        assert_eq!((plain.heavy, plain.recent), (4, 2));
        let scores =
            ["obcV", "obcV_p1", "obcK", "obcVK", "obcVK_no_cross"].map(|name| Policy::published(name, 4, 2).unwrap());
        let expected = [
            Score::Value,
            Score::ValueOneNorm,
            Score::Key,
            Score::Joint,
            Score::JointNoCross,
        ];
        assert_eq!(scores.map(|policy| policy.score), expected);
        let full = Policy::published("obcVK_no_cross_fullhist", 4, 2).unwrap();
        assert_eq!(
            (full.score, full.prefill_window),
            (Score::JointNoCross, QueryWindow::All)
        );
        let tova = Policy::published("obcV_p1+tova", 4, 2).unwrap();
        assert_eq!(
            tova,
            Policy {
                score: Score::ValueOneNorm,
                ..Policy::published("tova", 4, 2).unwrap()
            }
        );
        assert_eq!(
            (tova.heavy, tova.recent, tova.accumulate, tova.prefill_window),
            (6, 0, false, QueryWindow::Last(1))
        );
        let max = Some(Pooling::Max { radius: 3 });
        let average = Some(Pooling::Average { radius: 3 });
        for (name, pooling) in [
            ("snapkv", max),
            ("obcK+maxpool", max),
            ("snapkv_avgpool", average),
            ("obcV+avgpool", average),
        ] {
            assert_eq!(Policy::published(name, 4, 2).unwrap().pooling, pooling);
        }
        let refused = Err(PolicyError::UnknownVariant("obcW".to_owned()));
        assert_eq!(Policy::published("obcW", 4, 2), refused);
    }

    #[test]
    fn prefill_then_steps_accumulate() {
        let head = two_queries();
        let mut tracker = Tracker::new(weights(1, 2));
        // Two queries over three tokens: weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
        tracker.prefill(&head, &trace(&head)).unwrap();
        assert_eq!(tracker.saliency(), &array![0.75, 0.75, 0.5]);
        tracker.step(&even(4), &trace(&even(4))).unwrap();
        assert_eq!(tracker.saliency(), &array![1.0, 1.0, 0.75, 0.25]);
        assert_eq!(tracker.positions(), [0, 1, 2, 3]);
        assert_eq!(tracker.choice().unwrap(), [1, 2, 3]);
        tracker.keep(&[1, 2, 3]).unwrap();
        assert_eq!(
            (tracker.positions(), tracker.saliency()),
            (&[1, 2, 3][..], &array![1.0, 0.75, 0.25])
        );
        tracker.step(&even(4), &trace(&even(4))).unwrap();
        assert_eq!(
            (tracker.positions(), tracker.saliency()),
            (&[1, 2, 3, 4][..], &array![1.25, 1.0, 0.5, 0.25])
        );
    }

    #[test]
    fn chunks_of_the_prompt_add_up_to_its_window() {
        let first = Head::new(array![[0.0]], array![[0.0]], array![[1.0]]).unwrap();
        for (window, expected) in [(1, [0.25, 0.25, 0.5]), (2, [0.75, 0.75, 0.5])] {
            for accumulate in [true, false] {
                let policy = Policy {
                    prefill_window: QueryWindow::Last(window),
                    accumulate,
                    ..weights(1, 1)
                };
                let mut tracker = Tracker::new(policy);
                tracker.prefill_chunk(&first, &trace(&first), 2).unwrap();
                assert_eq!(tracker.saliency(), &array![0.0]);
                // Two more queries over three tokens: weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
                tracker
                    .prefill_chunk(&two_queries(), &trace(&two_queries()), 0)
                    .unwrap();
                assert_eq!(tracker.saliency(), &Array1::from_iter(expected));
            }
        }
        let policy = Policy::published("h2o_fullhist", 1, 1).unwrap();
        let mut tracker = Tracker::new(policy);
        tracker.prefill_chunk(&first, &trace(&first), 2).unwrap();
        assert_eq!(tracker.saliency(), &array![1.0]);
    }

    #[test]
    fn sinks_are_kept_on_top() {
        let policy = Policy {
            sinks: 1,
            ..weights(1, 1)
        };
        let mut tracker = Tracker::new(policy);
        tracker.prefill(&two_queries(), &trace(&two_queries())).unwrap();
        tracker.step(&even(4), &trace(&even(4))).unwrap();
        assert_eq!(tracker.policy().budget(), 3);
        assert_eq!(tracker.choice().unwrap(), [0, 2, 3]);
    }

    #[test]
    fn without_accumulation_only_the_last_query_counts() {
        let head = two_queries();
        let mut tracker = Tracker::new(Policy::published("tova", 2, 1).unwrap());
        tracker.prefill(&head, &trace(&head)).unwrap();
        assert_eq!(tracker.saliency(), &array![0.25, 0.25, 0.5]);
        let pair = Head::new(array![[9.0], [0.0]], Array2::zeros((5, 1)), Array2::ones((5, 1))).unwrap();
        tracker.step(&pair, &trace(&pair)).unwrap();
        assert_eq!(tracker.saliency(), &array![0.2, 0.2, 0.2, 0.2, 0.2]);
        assert_eq!(tracker.choice().unwrap(), [2, 3, 4]);
    }

    #[test]
    fn a_budget_that_holds_all_keeps_all() {
        let mut tracker = Tracker::new(weights(2, 1));
        tracker.prefill(&even(3), &trace(&even(3))).unwrap();
        assert_eq!(tracker.choice().unwrap(), [0, 1, 2]);
        assert_eq!(tracker.policy(), &weights(2, 1));
    }

    #[test]
    fn pooling_ranks_the_selectable_and_leaves_the_recent() {
        let policy = Policy {
            pooling: Some(Pooling::Max { radius: 1 }),
            ..weights(1, 2)
        };
        assert_eq!(policy.ranking(&array![1.0, 0.0, 5.0, 9.0]), array![1.0, 1.0, 5.0, 9.0]);
        assert_eq!(weights(1, 2).ranking(&array![1.0, 0.0]), array![1.0, 0.0]);
    }

    #[test]
    fn a_trace_over_another_cache_is_refused() {
        let mut tracker = Tracker::new(weights(1, 1));
        tracker.prefill(&even(2), &trace(&even(2))).unwrap();
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 3 });
        assert_eq!(tracker.step(&even(2), &trace(&even(2))), refused);
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 3 });
        assert_eq!(tracker.step(&even(3), &trace(&even(2))), refused);
    }

    #[test]
    fn strips_are_taken_in_as_traces_are() {
        let head = two_queries();
        for variant in ["h2o_fullhist", "obcVK_fullhist", "tova"] {
            let policy = Policy::published(variant, 2, 1).unwrap();
            let mut by_traces = Tracker::new(policy.clone());
            by_traces.prefill(&head, &trace(&head)).unwrap();
            let problem = Problem::try_from(&head).unwrap().with_queries(policy.prefill_window);
            let mut by_strips = Tracker::new(policy);
            by_strips.take_prefill(&Engine::new().run(&problem)[0]).unwrap();
            approx::assert_relative_eq!(by_strips.saliency(), by_traces.saliency(), max_relative = 1e-14);
            for tokens in [4, 5] {
                let head = Head::new(array![[1.0]], Array2::ones((tokens, 1)), Array2::ones((tokens, 1))).unwrap();
                by_traces.step(&head, &trace(&head)).unwrap();
                let cache = Cache::of(head.key().view(), head.value().view()).unwrap();
                let mut decoder = Decoder::new();
                by_strips
                    .take_step(&decoder.step(&cache, head.query().view()).unwrap(), 0)
                    .unwrap();
                approx::assert_relative_eq!(by_strips.saliency(), by_traces.saliency(), max_relative = 1e-14);
                assert_eq!(by_strips.positions(), by_traces.positions());
            }
        }
    }

    #[test]
    fn strips_over_another_cache_are_refused() {
        let head = even(2);
        let saliencies = Engine::new().run(&Problem::try_from(&head).unwrap());
        let mut tracker = Tracker::new(weights(1, 1));
        tracker.take_prefill(&saliencies[0]).unwrap();
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 4 });
        assert_eq!(tracker.take_prefill(&saliencies[0]), refused);
        let cache = Cache::of(head.key().view(), head.value().view()).unwrap();
        let mut decoder = Decoder::new();
        let step = decoder.step(&cache, head.query().view()).unwrap();
        let refused = Err(PolicyError::TraceLength { found: 2, expected: 3 });
        assert_eq!(tracker.take_step(&step, 0), refused);
        assert_eq!(tracker.positions(), [0, 1]);
    }

    #[test]
    fn slots_must_ascend_and_exist() {
        let mut tracker = Tracker::new(weights(1, 1));
        tracker.prefill(&even(3), &trace(&even(3))).unwrap();
        for slots in [&[1, 1][..], &[2, 1], &[3]] {
            assert_eq!(tracker.keep(slots), Err(PolicyError::Slots { cached: 3 }));
        }
        tracker.keep(&[]).unwrap();
        assert_eq!(tracker.positions(), [0usize; 0]);
    }
}
