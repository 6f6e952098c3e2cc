//! From a prompt's attention to a thinned cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use ndarray::{Array1, Array2, Axis, concatenate, s};
use obcache_scores::strip::Saliencies;
use obcache_scores::{Budget, Policy, Protection, Tracker, greedy, select, streaming_llm};
use obd_core::{Head, ProblemError, QueryWindow, Visibility};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reference_attention::attend;
use reference_model::{Attended, KvCache, LayerCache, Model};

use super::run::EvaluateError;
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
    /// The cache.
    pub cache: KvCache<f32>,
    budget: usize,
    method: Method,
    grouping: Grouping,
    /// One a reader of each set of cached tokens of each layer; none for methods that track nothing.
    trackers: Vec<Vec<Vec<Tracker>>>,
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
            attended.push(layer.clone())
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

    /// A copy of the cache from which `method` has evicted all but `budget` tokens of each head.
    ///
    /// # Errors
    /// [`EvaluateError`] where a saliency is not a number.
    pub fn thinned(&self, method: Method, grouping: Grouping, budget: usize) -> Result<Thinned, EvaluateError> {
        let mut thinned = self.untouched(method, grouping, budget)?;
        for layer in 0..self.layers.len() {
            for head in 0..thinned.cache.layers()[layer].heads().len() {
                let slots = self.slots(&thinned, layer, head)?;
                thinned.keep(layer, head, &slots)?;
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
        let slots = self.slots(&thinned, layer, head)?;
        thinned.keep(layer, head, &slots)?;
        Ok(thinned)
    }

    /// The whole cache, and trackers that have seen the prompt.
    fn untouched(&self, method: Method, grouping: Grouping, budget: usize) -> Result<Thinned, EvaluateError> {
        let mut cache = self.cache.clone();
        if grouping == Grouping::QueryHead {
            cache.layers_mut().iter_mut().for_each(LayerCache::split);
        }
        let trackers = match method.policy(budget) {
            Some(policy) => self.trackers(&policy, &cache)?,
            None => Vec::new(),
        };
        Ok(Thinned {
            cache,
            budget,
            method,
            grouping,
            trackers,
            seed: self.seed,
        })
    }

    fn trackers(&self, policy: &Policy, cache: &KvCache<f32>) -> Result<Vec<Vec<Vec<Tracker>>>, EvaluateError> {
        let query_heads = self.model.config().groups.num_query_heads();
        let of_layer = |(windows, cached): (&Windows, &LayerCache<f32>)| {
            let readers = query_heads / cached.heads().len();
            let trackers = windows.over(policy.prefill_window).iter().map(|saliencies| {
                let mut tracker = Tracker::new(policy.clone());
                tracker.take_prefill(saliencies).map(|()| tracker)
            });
            let trackers = trackers.collect::<Result<Vec<_>, _>>()?;
            Ok::<Vec<Vec<Tracker>>, EvaluateError>(trackers.chunks(readers).map(<[Tracker]>::to_vec).collect())
        };
        self.layers.iter().zip(cache.layers()).map(of_layer).collect()
    }

    /// What a set of cached tokens keeps after the prefill.
    fn slots(&self, thinned: &Thinned, layer: usize, head: usize) -> Result<Vec<usize>, EvaluateError> {
        if thinned.method != Method::Greedy {
            return thinned.slots(layer, head);
        }
        let groups = self.model.config().groups;
        let readers = match thinned.grouping {
            Grouping::QueryHead => head..head + 1,
            Grouping::KvSum | Grouping::KvMax => groups.query_heads(head),
        };
        let (window, recent) = Method::greedy(thinned.budget);
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
            .take(thinned.budget.saturating_sub(recent))
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

    fn over(&self, window: QueryWindow) -> &[Saliencies<f32>] {
        match window {
            QueryWindow::All => &self.attended.saliencies,
            QueryWindow::Last(1) => &self.last,
            QueryWindow::Last(_) => &self.observed,
        }
    }

    /// The queries of `window` of several query heads of one KV head, one under the other, as one problem: its error is the
    /// sum of theirs.
    fn stacked(&self, model: &Model<f32>, readers: Range<usize>, window: QueryWindow) -> Result<Head, EvaluateError> {
        let heads = readers.map(|reader| self.attended.head(model.config(), reader, window));
        let heads: Vec<Head> = heads.collect::<Result<_, _>>()?;
        let queries: Vec<_> = heads.iter().map(|head| head.query().view()).collect();
        let query = concatenate(Axis(0), &queries).unwrap_or_else(|_| Array2::zeros((0, 0)));
        let rows = heads[0].query_len();
        let seen = |(i, j): (usize, usize)| heads[0].visibility().visible(i % rows, j);
        let mask = Array2::from_shape_fn((query.nrows(), heads[0].kv_len()), seen);
        let head = Head::new(query, heads[0].key().clone(), heads[0].value().clone())?;
        Ok(head
            .with_scale(heads[0].scale())?
            .with_visibility(Visibility::from_mask(mask))?)
    }
}

impl Thinned {
    /// Runs one more token, whose query counts; yields its last hidden state, shape (1, hidden).
    ///
    /// # Errors
    /// [`EvaluateError`] where the model refuses it.
    pub fn decode(&mut self, model: &Model<f32>, token: u32) -> Result<Array2<f32>, EvaluateError> {
        let Self { cache, trackers, .. } = self;
        let mut taken = Ok(());
        let hidden = model.decode(&[token], cache, &mut |layer, head, step| {
            if let Some(trackers) = trackers.get_mut(layer) {
                for (reader, tracker) in trackers[head].iter_mut().enumerate() {
                    taken = taken.clone().and(tracker.take_step(step, reader));
                }
            }
        })?;
        taken?;
        Ok(hidden)
    }

    /// Evicts what is beyond the budget.
    ///
    /// # Errors
    /// As [`Prompt::thinned`].
    pub fn evict(&mut self) -> Result<(), EvaluateError> {
        for layer in 0..self.cache.layers().len() {
            for head in 0..self.cache.layers()[layer].heads().len() {
                let slots = self.slots(layer, head)?;
                self.keep(layer, head, &slots)?;
            }
        }
        Ok(())
    }

    /// What a set of cached tokens keeps.
    fn slots(&self, layer: usize, head: usize) -> Result<Vec<usize>, EvaluateError> {
        let positions = self.cache.layers()[layer].heads()[head].positions();
        let all = || (0..positions.len()).collect();
        if self.method == Method::Full || self.budget >= positions.len() {
            return Ok(all());
        }
        let best = |saliency: &Array1<f64>, recent| {
            Ok(select(
                saliency,
                Budget::Tokens(self.budget),
                Protection { sinks: 0, recent },
            )?)
        };
        if let Some(trackers) = self.trackers.get(layer) {
            let saliencies: Vec<_> = trackers[head]
                .iter()
                .map(|tracker| tracker.saliency().clone())
                .collect();
            let joined = self.grouping.reduction().reduce(&saliencies);
            let policy = trackers[head][0].policy();
            return best(&policy.ranking(&joined.unwrap_or_default()), policy.recent);
        }
        match self.method {
            Method::Random => best(
                &positions
                    .iter()
                    .map(|&position| self.lot(layer, head, position))
                    .collect(),
                0,
            ),
            _ => {
                let last = positions.last().map_or(0, |last| last + 1);
                let ranks = streaming_llm(last, SINKS);
                best(&positions.iter().map(|&position| ranks[position]).collect(), 0)
            }
        }
    }

    /// A token's lot: the same for as long as it is cached.
    fn lot(&self, layer: usize, head: usize, position: usize) -> f64 {
        let place = ((layer as u64) << 48) ^ ((head as u64) << 32) ^ position as u64;
        ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place).random()
    }

    fn keep(&mut self, layer: usize, head: usize, slots: &[usize]) -> Result<(), EvaluateError> {
        self.cache.layers_mut()[layer].heads_mut()[head].keep(slots)?;
        if let Some(trackers) = self.trackers.get_mut(layer) {
            for tracker in &mut trackers[head] {
                tracker.keep(slots)?;
            }
        }
        Ok(())
    }
}

/// Rows `from` on, for the logits of the judged tokens.
pub(super) fn rows_from(rows: &Array2<f32>, from: usize) -> Array2<f32> {
    rows.slice(s![from.., ..]).to_owned()
}
