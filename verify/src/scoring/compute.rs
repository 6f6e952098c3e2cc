//! The columns of one group: by the engine, or from traces where it does not know the kind of logits.

use capture::{CaptureFile, GroupTensors};
use ndarray::{Array0, Array1, Array2, Axis};
use obcache_scores::accumulate;
use obcache_scores::strip::{Buffers, Element, Engine, Problem};
use obd_core::{ProblemError, QueryWindow};

use super::layout::{self, Layout};
use super::plan::PlannedLayer;
use super::{Column, Group, Heads, Precision, ScoringError};

/// Arrays of (window_len, kv_len) f64 that a trace and the contributions of one column take at their most.
const TRACE_MATRICES: u64 = 6;

/// A problem of these shapes, by which the engine tells what such a problem takes; its zeros take no memory.
fn placeholder<T: Element>(
    zero: &Array0<T>,
    query: (usize, usize, usize),
    key: (usize, usize),
    value: (usize, usize),
) -> Option<Problem<'_, T>> {
    Problem::new(zero.broadcast(query)?, zero.broadcast(key)?, zero.broadcast(value)?).ok()
}

/// What the engine's runs of a thread leave to the next one.
#[derive(Default)]
pub(super) struct Kept {
    narrow: Buffers<f32>,
    wide: Buffers<f64>,
}

/// What is computed of a group, and from what.
pub(super) struct Computation {
    pub capture: CaptureFile,
    pub window: QueryWindow,
    pub heads: Heads,
    pub precision: Precision,
}

impl Computation {
    /// Whether the engine does not know this kind of logits, so that a trace is kept.
    pub fn needs_traces(&self) -> bool {
        self.capture.metadata().softcap.is_some()
    }

    /// All columns of a group, one row a query head or one in all; `observe` is called after each of
    /// [`Computation::blocks`].
    pub fn columns(
        &self,
        group: Group,
        (engine, kept): (&Engine, &mut Kept),
        observe: &(dyn Fn() + Sync),
    ) -> Result<Vec<Array2<f64>>, ScoringError> {
        let columns = match self.precision {
            _ if self.needs_traces() => self.by_traces(group, observe)?,
            Precision::F32 => self.by_strips(group, (engine, &mut kept.narrow), observe)?,
            Precision::F64 => self.by_strips(group, (engine, &mut kept.wide), observe)?,
        };
        self.check(group, &columns)?;
        Ok(columns)
    }

    /// Steps of progress in a group of this layer.
    pub fn blocks(&self, layer: &PlannedLayer) -> usize {
        let (group_size, queries) = (self.capture.groups().group_size(), self.queries(layer));
        if self.needs_traces() {
            return group_size;
        }
        // Blocks are blocks of queries: how many tokens and channels there are does not matter.
        let zero = Array0::from_elem((), 0.0f32);
        let problem = placeholder(&zero, (group_size, queries, 1), (1, 1), (1, 1));
        problem.map_or(0, |problem| Engine::new().blocks(&problem))
    }

    /// The fastest layout of `tasks` groups of this layer that keeps within `allowed` bytes; otherwise what the leanest one
    /// needs.
    pub fn layout(&self, layer: &PlannedLayer, threads: usize, tasks: usize, allowed: u64) -> Result<Layout, u64> {
        let tensors = self.memory(layer);
        // What cannot even be read is not asked about: its lengths may be a damaged header's.
        if tensors > allowed {
            return Err(tensors);
        }
        let choose = |beyond: &dyn Fn(&Engine) -> u64| {
            layout::choose(threads, tasks, allowed, |engine| tensors.saturating_add(beyond(engine)))
        };
        let metadata = self.capture.metadata();
        let query = (
            self.capture.groups().group_size(),
            self.queries(layer),
            metadata.head_dim,
        );
        let (key, value) = ((layer.kv_len, metadata.head_dim), (layer.kv_len, metadata.value_dim));
        let (narrow, wide) = (Array0::from_elem((), 0.0f32), Array0::from_elem((), 0.0f64));
        match self.precision {
            _ if self.needs_traces() => {
                let pairs = (self.queries(layer) as u64).saturating_mul(layer.kv_len as u64);
                choose(&|_| pairs.saturating_mul(8 * TRACE_MATRICES))
            }
            Precision::F32 => {
                let problem = placeholder(&narrow, query, key, value);
                choose(&|engine| problem.as_ref().map_or(0, |problem| engine.memory(problem) as u64))
            }
            Precision::F64 => {
                let problem = placeholder(&wide, query, key, value);
                choose(&|engine| problem.as_ref().map_or(0, |problem| engine.memory(problem) as u64))
            }
        }
    }

    /// Bytes of the tensors of a group of this layer and of its columns, which are held twice while they are put together.
    pub fn memory(&self, layer: &PlannedLayer) -> u64 {
        let metadata = self.capture.metadata();
        let group_size = self.capture.groups().group_size();
        let size = match self.precision {
            Precision::F32 => size_of::<f32>(),
            Precision::F64 => size_of::<f64>(),
        };
        let product = |factors: &[usize]| {
            let factors = factors.iter().map(|&factor| factor as u64);
            factors.fold(1, u64::saturating_mul)
        };
        let query = product(&[size, group_size, self.queries(layer), metadata.head_dim]);
        let cache = product(&[size, layer.kv_len, metadata.head_dim.saturating_add(metadata.value_dim)]);
        let columns = product(&[2 * size_of::<f64>() * Column::all().count(), group_size, layer.kv_len]);
        query.saturating_add(cache).saturating_add(columns)
    }

    fn queries(&self, layer: &PlannedLayer) -> usize {
        self.window.queries(layer.query_len).len()
    }

    fn by_strips<T: Element>(
        &self,
        group: Group,
        (engine, buffers): (&Engine, &mut Buffers<T>),
        observe: &(dyn Fn() + Sync),
    ) -> Result<Vec<Array2<f64>>, ScoringError> {
        let tensors = self
            .capture
            .group(group.layer, group.kv_head, self.window, T::from_f64)?;
        let problem = self.problem(&tensors, group).map_err(self.refused(group))?;
        let (saliencies, _) = engine.run_in(buffers, &problem, observe);
        let column = |column: Column| -> Vec<_> { saliencies.iter().map(|head| column.of(head).clone()).collect() };
        Ok(Column::all()
            .filter_map(|name| self.heads.rows(&column(name)))
            .collect())
    }

    fn by_traces(&self, group: Group, observe: &(dyn Fn() + Sync)) -> Result<Vec<Array2<f64>>, ScoringError> {
        let tensors = self
            .capture
            .group(group.layer, group.kv_head, self.window, |number| number)?;
        let mut columns: Vec<Vec<Array1<f64>>> = Column::all().map(|_| Vec::new()).collect();
        for (place, query_head) in self.capture.groups().query_heads(group.kv_head).enumerate() {
            let query = tensors.query.index_axis(Axis(0), place).to_owned();
            let (key, value) = (tensors.key.clone(), tensors.value.clone());
            let head = self.capture.metadata().head(query_head, query, key, value);
            let head = head.map_err(self.refused(group))?;
            let trace = reference_attention::attend(&head);
            for (heads, column) in columns.iter_mut().zip(Column::all()) {
                heads.push(accumulate(&column.contributions(&head, &trace), QueryWindow::All));
            }
            observe();
        }
        Ok(columns.iter().filter_map(|heads| self.heads.rows(heads)).collect())
    }

    /// The group as a problem of the engine.
    fn problem<'a, T: Element>(
        &self,
        tensors: &'a GroupTensors<T>,
        group: Group,
    ) -> Result<Problem<'a, T>, ProblemError> {
        let metadata = self.capture.metadata();
        let (query, key, value) = (tensors.query.view(), tensors.key.view(), tensors.value.view());
        let mut problem = Problem::new(query, key, value)?.with_scale(metadata.scale)?;
        if !metadata.causal {
            problem = problem.bidirectional();
        }
        if let Some(tokens) = metadata.sliding_window {
            problem = problem.with_sliding_window(tokens)?;
        }
        if let Some(sinks) = &metadata.sinks {
            problem = problem.with_sinks(&sinks[self.capture.groups().query_heads(group.kv_head)])?;
        }
        Ok(problem)
    }

    fn refused(&self, group: Group) -> impl FnOnce(ProblemError) -> ScoringError {
        let file = self.capture.path().to_path_buf();
        move |source| ScoringError::Problem { file, group, source }
    }

    /// Refuses sums that are no number: the squares of the capture's numbers overflow.
    fn check(&self, group: Group, columns: &[Array2<f64>]) -> Result<(), ScoringError> {
        for (column, rows) in Column::all().zip(columns) {
            if let Some(((_, token), &sum)) = rows.indexed_iter().find(|(_, sum)| !sum.is_finite()) {
                return Err(ScoringError::Overflow {
                    file: self.capture.path().to_path_buf(),
                    group,
                    column: column.name(),
                    token,
                    sum,
                    precision: self.precision,
                });
            }
        }
        Ok(())
    }
}
