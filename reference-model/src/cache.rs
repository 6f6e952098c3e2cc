//! The keys and values that a model remembers, and what is left of them after an eviction.

use ndarray::{ArrayView1, Axis};
use obcache_scores::strip::Cache;
use obd_core::{HeadGroups, ProblemError};

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

/// The cached tokens of one head.
#[derive(Debug, Clone)]
pub struct HeadCache<T> {
    pub(crate) rows: Cache<T>,
    positions: Vec<usize>,
}

impl<T: Number> KvCache<T> {
    pub(crate) fn new(config: &Config) -> Self {
        // No axis is empty: the configuration was checked.
        let rows = Cache::new(config.head_dim.max(1), config.head_dim.max(1));
        let head = rows.map(|rows| HeadCache {
            rows,
            positions: Vec::new(),
        });
        let heads: Vec<_> = head.into_iter().cycle().take(config.groups.num_kv_heads()).collect();
        let layer = LayerCache {
            groups: config.groups,
            heads,
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
            let own = |head: usize| self.heads[self.groups.kv_head(head)].clone();
            self.heads = (0..self.groups.num_query_heads()).map(own).collect();
        }
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

    /// Adds all tokens of a prefill.
    pub(crate) fn fill(&mut self, attended: &Attended<T>) -> Result<(), ProblemError> {
        for (head, cache) in self.heads.iter_mut().enumerate() {
            let (key, value) = (
                attended.key.index_axis(Axis(0), head),
                attended.value.index_axis(Axis(0), head),
            );
            cache.rows = Cache::of(key, value)?;
            cache.positions = (0..key.nrows()).collect();
        }
        Ok(())
    }
}

impl<T: Number> HeadCache<T> {
    /// Positions of the cached tokens, ascending.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Drops all but the tokens in the given slots, which must ascend.
    ///
    /// # Errors
    /// [`ModelError::Slots`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), ModelError> {
        self.rows.keep(slots)?;
        self.positions = slots.iter().map(|&slot| self.positions[slot]).collect();
        Ok(())
    }

    /// Adds a token, and drops those that a sliding window hides from it and from all later ones.
    pub(crate) fn push(
        &mut self,
        position: usize,
        (key, value): (ArrayView1<T>, ArrayView1<T>),
        sliding_window: Option<usize>,
    ) -> Result<(), ProblemError> {
        self.rows.push(key, value)?;
        self.positions.push(position);
        if let Some(window) = sliding_window {
            let hidden = self
                .positions
                .iter()
                .take_while(|&&old| old + window <= position)
                .count();
            let seen: Vec<usize> = (hidden..self.positions.len()).collect();
            if hidden > 0 && self.rows.keep(&seen).is_ok() {
                self.positions.drain(..hidden);
            }
        }
        Ok(())
    }
}
