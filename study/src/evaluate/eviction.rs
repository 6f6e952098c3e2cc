//! From a prompt's attention to a thinned cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use ndarray::{Array1, Array2, Axis, concatenate, s};
use obcache_scores::accumulate;
use obcache_scores::field::streaming_llm;
use obcache_scores::select::sets::greedy;
use obcache_scores::serve::{Policy, Tracker};
use obd_core::{Head, ProblemError, QueryWindow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reference_attention::attend;
use reference_model::{Attended, KvCache, LayerCache, Model};
use strip_engine::{Column, Saliencies};

use super::error::EvaluateError;
use super::{Document, Grouping, Method};

/// Sinks of StreamingLLM.
const SINKS: usize = 4;

/// Greedy orders of eviction, by layer and query heads.
type Orders = HashMap<(usize, Range<usize>), Vec<usize>>;

/// A prompt that went through the model, with what its queries say of its tokens.
pub struct Prompt<'a> {
    model: &'a Model<f32>,
    cache: KvCache<f32>,
    layers: Vec<Windows>,
    /// Of the lots that tokens draw.
    seed: u64,
    /// Those that were asked for: every budget takes its tokens from the same.
    orders: RefCell<Orders>,
}

/// One layer's attention, and its saliencies over each window that a method asks for: one a query head.
struct Windows {
    attended: Attended<f32>,
    observed: Vec<Saliencies<f32>>,
    last: Vec<Saliencies<f32>>,
}

/// A cache under a budget, with what decides on its tokens.
pub struct Thinned {
    /// The cache, whose trackers follow the method's policy.
    pub cache: KvCache<f32>,
    method: Method,
    seed: u64,
}

impl<'a> Prompt<'a> {
    /// Runs the prompt of a document.
    ///
    /// # Errors
    /// [`EvaluateError`] where the model refuses it.
    pub fn new(model: &'a Model<f32>, document: &Document) -> Result<Self, EvaluateError> {
        let (mut cache, mut attended) = (model.cache(), Vec::new());
        model.prefill(&document.prompt, &mut cache, &mut |_, layer| {
            attended.push(layer.clone());
            Ok(())
        })?;
        let layers = attended.into_iter().map(|attended| Windows::new(model, attended));
        let seed = document
            .name
            .bytes()
            .fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        Ok(Self {
            model,
            cache,
            layers: layers.collect::<Result<_, _>>()?,
            seed,
            orders: RefCell::default(),
        })
    }

    /// The cache as the prompt left it.
    pub fn cache(&self) -> &KvCache<f32> {
        &self.cache
    }

    /// A copy of the cache from which `method` has evicted all but `budget` tokens of each head. Claim C42.
    ///
    /// # Errors
    /// [`EvaluateError`] where a saliency is not a number.
    pub fn thinned(&self, method: Method, grouping: Grouping, budget: usize) -> Result<Thinned, EvaluateError> {
        let mut thinned = self.untouched(method, grouping, budget)?;
        for layer in 0..self.layers.len() {
            for head in 0..thinned.cache.layers()[layer].heads().len() {
                self.evict(&mut thinned, layer, head)?;
            }
        }
        Ok(thinned)
    }

    /// A copy of the cache from which `method` has evicted in one query head alone.
    ///
    /// # Errors
    /// As [`Prompt::thinned`].
    pub fn thinned_in(
        &self,
        method: Method,
        budget: usize,
        (layer, head): (usize, usize),
    ) -> Result<Thinned, EvaluateError> {
        let mut thinned = self.untouched(method, Grouping::QueryHead, budget)?;
        self.evict(&mut thinned, layer, head)?;
        Ok(thinned)
    }

    /// The whole cache, with trackers that have seen the prompt.
    fn untouched(&self, method: Method, grouping: Grouping, budget: usize) -> Result<Thinned, EvaluateError> {
        let mut cache = self.cache.clone();
        if grouping == Grouping::QueryHead {
            cache.layers_mut().iter_mut().for_each(LayerCache::split);
        }
        let policy = Policy {
            reduction: grouping.reduction(),
            ..method.policy(budget)
        };
        for (windows, layer) in self.layers.iter().zip(cache.layers_mut()) {
            let sets = layer.heads().iter().zip(windows.over(&policy, layer.heads().len()));
            let trackers = sets.enumerate().map(|(set, (head, group))| {
                let mut tracker = Tracker::group(policy.clone(), group.len())?;
                let traced = windows.traced(self.model, set * group.len()..(set + 1) * group.len(), &policy)?;
                let add = |reader: usize, score, sums: &mut Array1<f64>| match group[reader].score(score) {
                    Some(saliency) => sums.assign(saliency),
                    None => sums.assign(&traced[reader]),
                };
                tracker.take_prefill(head.positions().len(), add)?;
                Ok(tracker)
            });
            let trackers = trackers.collect::<Result<_, EvaluateError>>()?;
            layer.track(trackers)?;
        }
        Ok(Thinned {
            cache,
            method,
            seed: self.seed,
        })
    }

    /// Evicts from a set of cached tokens what is beyond the budget after the prefill.
    fn evict(&self, thinned: &mut Thinned, layer: usize, head: usize) -> Result<(), EvaluateError> {
        let slots = match thinned.method {
            Method::Greedy => self.greedy(thinned, layer, head)?,
            _ => thinned.slots(layer, head)?,
        };
        Ok(thinned.cache.layers_mut()[layer].heads_mut()[head].keep(&slots)?)
    }

    /// What greedy removal keeps of a set of cached tokens.
    fn greedy(&self, thinned: &Thinned, layer: usize, head: usize) -> Result<Vec<usize>, EvaluateError> {
        let tracker = thinned.cache.layers()[layer].heads()[head].tracker();
        let (readers, budget) = (tracker.query_heads(), tracker.policy().budget());
        let readers = head * readers..(head + 1) * readers;
        let (window, recent) = Method::greedy(budget);
        let mut orders = self.orders.borrow_mut();
        let order = match orders.entry((layer, readers.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let stacked = self.layers[layer].stacked(self.model, readers, window)?;
                place.insert(greedy::order(&stacked, &attend(&stacked), QueryWindow::All))
            }
        };
        let protected = order.len().saturating_sub(recent);
        let open = order.iter().copied().rev().filter(|&token| token < protected);
        let mut slots: Vec<usize> = open
            .take(budget.saturating_sub(recent))
            .chain(protected..order.len())
            .collect();
        slots.sort_unstable();
        Ok(slots)
    }
}

impl Windows {
    fn new(model: &Model<f32>, attended: Attended<f32>) -> Result<Self, EvaluateError> {
        let over = |window| {
            let kv_heads = 0..model.config().groups.num_kv_heads();
            let groups = kv_heads.map(|kv_head| attended.saliencies_over(model.config(), kv_head, window));
            Ok::<_, ProblemError>(groups.collect::<Result<Vec<_>, _>>()?.concat())
        };
        let (observed, last) = (over(Method::greedy(0).0)?, over(QueryWindow::Last(1))?);
        Ok(Self {
            attended,
            observed,
            last,
        })
    }

    /// Over the policy's window, those of each of so many sets of cached tokens.
    fn over(&self, policy: &Policy, sets: usize) -> std::slice::Chunks<'_, Saliencies<f32>> {
        let saliencies = match policy.prefill_window {
            QueryWindow::All => &self.attended.saliencies,
            QueryWindow::Last(1) => &self.last,
            QueryWindow::Last(_) => &self.observed,
        };
        saliencies.chunks(saliencies.len() / sets)
    }

    /// The saliencies of a score that the strip engine has no column for, one a query head, over the queries of the policy's
    /// window; none where it has one, or where the policy scores nothing.
    fn traced(
        &self,
        model: &Model<f32>,
        readers: Range<usize>,
        policy: &Policy,
    ) -> Result<Vec<Array1<f64>>, ProblemError> {
        let Some(score) = policy.score.filter(|&score| Column::of_score(score).is_none()) else {
            return Ok(Vec::new());
        };
        let traced = |reader| {
            let head = self.attended.head(model.config(), reader, policy.prefill_window)?;
            let contributions = score.contributions(&head, &attend(&head));
            Ok(accumulate(&contributions, QueryWindow::All))
        };
        readers.map(traced).collect()
    }

    /// The queries of `window` of several query heads of one KV head, one under the other, as one problem: its error is the
    /// sum of theirs.
    fn stacked(&self, model: &Model<f32>, readers: Range<usize>, window: QueryWindow) -> Result<Head, EvaluateError> {
        let heads = readers.map(|reader| self.attended.head(model.config(), reader, window));
        let heads: Vec<Head> = heads.collect::<Result<_, _>>()?;
        let queries: Vec<_> = heads.iter().map(|head| head.query().view()).collect();
        let query = concatenate(Axis(0), &queries).expect("the heads of a model have one head_dim");
        let first = &heads[0];
        let rows: Vec<usize> = (0..query.nrows()).map(|i| i % first.query_len()).collect();
        let tokens: Vec<usize> = (0..first.kv_len()).collect();
        let spec = first.spec().select(&rows, &tokens)?;
        Ok(Head::from_parts(
            query,
            first.key().clone(),
            first.value().clone(),
            spec,
        )?)
    }
}

impl Thinned {
    /// Runs one more token, whose query counts; yields its last hidden state, shape (1, hidden).
    ///
    /// # Errors
    /// [`EvaluateError`] where the model refuses it.
    pub fn decode(&mut self, model: &Model<f32>, token: u32) -> Result<Array2<f32>, EvaluateError> {
        Ok(model.decode(&[token], &mut self.cache, &mut |_, _, _| Ok(()))?)
    }

    /// Evicts what is beyond the budget.
    ///
    /// # Errors
    /// As [`Prompt::thinned`]; [`PolicyError::Unscored`](obcache_scores::PolicyError::Unscored) for greedy removal, which chooses a
    /// whole set at once.
    pub fn evict(&mut self) -> Result<(), EvaluateError> {
        for layer in 0..self.cache.layers().len() {
            for head in 0..self.cache.layers()[layer].heads().len() {
                let slots = self.slots(layer, head)?;
                self.cache.layers_mut()[layer].heads_mut()[head].keep(&slots)?;
            }
        }
        Ok(())
    }

    /// What a set of cached tokens keeps.
    fn slots(&self, layer: usize, head: usize) -> Result<Vec<usize>, EvaluateError> {
        let tracker = self.cache.layers()[layer].heads()[head].tracker();
        let positions = tracker.positions().iter();
        let slots = match self.method {
            Method::Random => tracker.choice_by(&positions.map(|&position| self.lot(layer, head, position)).collect()),
            Method::StreamingLlm => {
                let ranks = streaming_llm(tracker.seen(), SINKS);
                tracker.choice_by(&positions.map(|&position| ranks[position]).collect())
            }
            Method::Full | Method::Greedy | Method::Scored(..) => tracker.choice(),
        };
        Ok(slots?)
    }

    /// A token's lot: the same for as long as it is cached.
    fn lot(&self, layer: usize, head: usize, position: usize) -> f64 {
        let place = ((layer as u64) << 48) ^ ((head as u64) << 32) ^ position as u64;
        ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place).random()
    }
}

/// Rows `from` on, for the logits of the judged tokens.
pub(super) fn rows_from(rows: &Array2<f32>, from: usize) -> Array2<f32> {
    rows.slice(s![from.., ..]).to_owned()
}
