//! The keys and values that a model remembers, and what is left of them after an eviction.

use ndarray::Axis;
use obcache_scores::serve::{Policy, Tracker};
use obd_core::{HeadGroups, ProblemError};
use strip_engine::Cache;

use crate::{Attended, Config, ModelError, Number};

/// The cached tokens of a model, layer by layer.
#[derive(Debug, Clone)]
pub struct KvCache<T> {
    pub(crate) layers: Vec<LayerCache<T>>,
    /// Position of the next token: evicted ones keep theirs.
    pub(crate) seen: usize,
}

/// The cached tokens of one layer: one set a KV head, or one a query head once they are [split](LayerCache::split).
#[derive(Debug, Clone)]
pub struct LayerCache<T> {
    groups: HeadGroups,
    pub(crate) heads: Vec<HeadCache<T>>,
}

/// The cached tokens of one head: their keys and values, and the tracker that knows their positions and, under a policy with a
/// score, what the queries have given them.
#[derive(Debug, Clone)]
pub struct HeadCache<T> {
    pub(crate) rows: Cache<T>,
    pub(crate) tracker: Tracker,
}

impl<T: Number> KvCache<T> {
    pub(crate) fn new(config: &Config) -> Self {
        let groups = config.groups;
        let tracker = Tracker::group(Policy::unscored(usize::MAX), groups.group_size());
        let head = HeadCache {
            rows: Cache::new(config.head_dim, config.head_dim).expect("a checked configuration has channels"),
            tracker: tracker.expect("every KV head has a query head"),
        };
        let layer = LayerCache {
            groups,
            heads: vec![head; groups.num_kv_heads()],
        };
        Self {
            layers: vec![layer; config.num_layers],
            seen: 0,
        }
    }

    /// Tokens that went through the model, evicted ones included.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[LayerCache<T>] {
        &self.layers
    }

    /// The layers, first to last, to evict from.
    pub fn layers_mut(&mut self) -> &mut [LayerCache<T>] {
        &mut self.layers
    }
}

impl<T: Number> LayerCache<T> {
    /// Gives each query head tokens of its own, as the published code evicts; a cache that is split stays as it is.
    pub fn split(&mut self) {
        if self.heads.len() == self.groups.num_kv_heads() {
            let own = |query_head: usize| {
                let shared = &self.heads[self.groups.kv_head(query_head)];
                HeadCache {
                    rows: shared.rows.clone(),
                    tracker: shared.tracker.of_query_head(query_head % self.groups.group_size()),
                }
            };
            self.heads = (0..self.groups.num_query_heads()).map(own).collect();
        }
    }

    /// From now on these trackers, one a set of cached tokens, take in what is decoded. Each must hold the tokens of its set, and
    /// as many query heads as read it.
    ///
    /// # Errors
    /// [`ModelError::Cache`] where they are others; the cache is then as it was.
    pub fn track(&mut self, trackers: Vec<Tracker>) -> Result<(), ModelError> {
        let fits = |(head, tracker): (usize, &Tracker)| {
            tracker.query_heads() == self.readers(head).len()
                && tracker.positions() == self.heads[head].positions()
                && tracker.seen() == self.heads[head].tracker.seen()
        };
        if trackers.len() != self.heads.len() || !trackers.iter().enumerate().all(fits) {
            return Err(ModelError::Cache(
                "holds other tokens or heads than the trackers it is given",
            ));
        }
        for (head, tracker) in self.heads.iter_mut().zip(trackers) {
            head.tracker = tracker;
        }
        Ok(())
    }

    /// The sets of cached tokens: one a KV head, or one a query head after a split.
    pub fn heads(&self) -> &[HeadCache<T>] {
        &self.heads
    }

    /// The same, to evict from.
    pub fn heads_mut(&mut self) -> &mut [HeadCache<T>] {
        &mut self.heads
    }

    /// Query heads that read the set `head`.
    pub(crate) fn readers(&self, head: usize) -> std::ops::Range<usize> {
        let readers = self.groups.num_query_heads() / self.heads.len();
        head * readers..(head + 1) * readers
    }

    /// Whether it is as [`Model::cache`](crate::Model::cache) makes it: without tokens, shared, and scored by nobody.
    pub(crate) fn is_new(&self) -> bool {
        let untouched = |head: &HeadCache<T>| head.tracker.seen() == 0 && head.tracker.policy().score.is_none();
        self.heads.len() == self.groups.num_kv_heads() && self.heads.iter().all(untouched)
    }

    /// Adds all tokens of a prefill to a new cache.
    pub(crate) fn fill(&mut self, attended: &Attended<T>) -> Result<(), ProblemError> {
        for (head, cache) in self.heads.iter_mut().enumerate() {
            let (key, value) = (
                attended.key.index_axis(Axis(0), head),
                attended.value.index_axis(Axis(0), head),
            );
            cache.rows = Cache::of(key, value)?;
            let taken = cache.tracker.take_prefill(key.nrows(), |_, _, _| {});
            taken.expect("a new cache is empty");
        }
        Ok(())
    }
}

impl<T: Number> HeadCache<T> {
    /// Positions of the cached tokens, ascending.
    pub fn positions(&self) -> &[usize] {
        self.tracker.positions()
    }

    /// Positions of the cached tokens, and their saliencies where they are [tracked](LayerCache::track).
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Drops all but the tokens in the given slots, which must ascend. Claim C41.
    ///
    /// # Errors
    /// [`ModelError::Slots`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), ModelError> {
        self.rows.keep(slots)?;
        Ok(self.tracker.keep(slots)?)
    }

    /// Drops the tokens that a sliding window hides from the next token and from all later ones.
    pub(crate) fn slide(&mut self, sliding_window: Option<usize>) {
        let Some(window) = sliding_window else { return };
        let (next, positions) = (self.tracker.seen(), self.tracker.positions());
        let hidden = positions.partition_point(|position| position + window <= next);
        if hidden > 0 {
            let seen: Vec<usize> = (hidden..positions.len()).collect();
            self.rows.keep(&seen).expect("slots of this cache, ascending");
            self.tracker.forget_oldest(hidden);
        }
    }
}
