//! The columns of one group: by the engine, or from traces where it does not know the kind of logits.

use capture::{CaptureFile, GroupTensors};
use ndarray::{Array0, Array1, Array2, Axis};
use obcache_scores::accumulate;
use obd_core::{ProblemError, QueryWindow};
use strip_engine::{Buffers, Element, Engine, Problem};

use super::layout::{self, Layout};
use super::plan::PlannedLayer;
use super::{Column, Group, Heads, Precision, ScoringError};

/// Arrays of (window_len, kv_len) f64 that a trace and the contributions of one column take at their most.
const TRACE_MATRICES: u64 = 6;

/// A problem of these shapes, by which the engine tells what such a problem takes; its zeros take no memory. `None` where no
/// array has so many elements.
fn placeholder<T: Element>(
    zero: &Array0<T>,
    query: (usize, usize, usize),
    key: (usize, usize),
    value: (usize, usize),
) -> Option<Problem<'_, T>> {
    Problem::new(zero.broadcast(query)?, zero.broadcast(key)?, zero.broadcast(value)?).ok()
}

/// Bytes that the engine takes for a problem; without one, more than there are.
fn memory<T: Element>(engine: &Engine, problem: Option<&Problem<T>>) -> u64 {
    problem.map_or(u64::MAX, |problem| engine.memory(problem) as u64)
}

/// What the engine's runs of a thread leave to the next one.
#[derive(Default)]
pub(super) struct Kept {
    narrow: Buffers<f32>,
    wide: Buffers<f64>,
}

/// What is computed of a group, and from what.
pub(super) struct Computation {
    capture: CaptureFile,
    window: QueryWindow,
    heads: Heads,
    precision: Precision,
    /// The columns that the engine does not yield, so that a trace is kept.
    traced: Vec<Column>,
}

/// A column, a row a query head, shape (kv_len) each.
type Rows = (Column, Vec<Array1<f64>>);

impl Computation {
    /// All columns by the engine, but those that it does not have; none where it does not know this kind of logits.
    pub fn new(capture: CaptureFile, window: QueryWindow, heads: Heads, precision: Precision) -> Self {
        let unknown_logits = capture.metadata().softcap.is_some();
        let traced = Column::all().filter(|column| unknown_logits || !column.is_of_the_engine());
        Self {
            traced: traced.collect(),
            capture,
            window,
            heads,
            precision,
        }
    }

    /// Whether a number for every pair of query and token is kept.
    pub fn needs_traces(&self) -> bool {
        !self.traced.is_empty()
    }

    /// Why it takes so much memory, where there is a reason.
    pub fn advice(&self) -> &'static str {
        match (self.needs_traces(), self.needs_engine()) {
            (false, _) => "",
            (true, false) => ": with a soft-cap, which the engine does not know, every pair of query and token is kept",
            (true, true) => ": for scores that the engine does not have, every pair of query and token is kept",
        }
    }

    fn needs_engine(&self) -> bool {
        self.traced.len() < Column::all().count()
    }

    /// All columns of a group, one row a query head or one in all; `observe` is called after each of
    /// [`Computation::blocks`].
    pub fn columns(
        &self,
        group: Group,
        (engine, kept): (&Engine, &mut Kept),
        observe: &(dyn Fn() + Sync),
    ) -> Result<Vec<Array2<f64>>, ScoringError> {
        let mut found = match self.precision {
            _ if !self.needs_engine() => Vec::new(),
            Precision::F32 => self.by_strips(group, (engine, &mut kept.narrow), observe)?,
            Precision::F64 => self.by_strips(group, (engine, &mut kept.wide), observe)?,
        };
        if self.needs_traces() {
            found.extend(self.by_traces(group, observe)?);
        }
        let rows = |column| {
            let rows = found.iter().find(|(other, _)| *other == column);
            let (_, heads) = rows.expect("a column comes from the engine or from traces");
            self.heads.rows(heads)
        };
        let columns: Vec<_> = Column::all().map(rows).collect();
        self.check(group, &columns)?;
        Ok(columns)
    }

    /// Steps of progress in a group of this layer.
    pub fn blocks(&self, layer: &PlannedLayer) -> usize {
        let (group_size, queries) = (self.capture.groups().group_size(), self.queries(layer));
        if !self.needs_engine() {
            return group_size;
        }
        // Blocks are blocks of queries: how many tokens and channels there are does not matter.
        let zero = Array0::from_elem((), 0.0f32);
        let problem = placeholder(&zero, (group_size, queries, 1), (1, 1), (1, 1));
        // Where there is no such array, no memory holds it, and nothing is computed.
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
        let pairs = (self.queries(layer) as u64).saturating_mul(layer.kv_len as u64);
        let traces = if self.needs_traces() {
            pairs.saturating_mul(8 * TRACE_MATRICES)
        } else {
            0
        };
        let beside = tensors.saturating_add(traces);
        let choose = |of_engine: &dyn Fn(&Engine) -> u64| {
            layout::choose(threads, tasks, allowed, |engine| {
                beside.saturating_add(of_engine(engine))
            })
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
            _ if !self.needs_engine() => choose(&|_| 0),
            Precision::F32 => {
                let problem = placeholder(&narrow, query, key, value);
                choose(&|engine| memory(engine, problem.as_ref()))
            }
            Precision::F64 => {
                let problem = placeholder(&wide, query, key, value);
                choose(&|engine| memory(engine, problem.as_ref()))
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
    ) -> Result<Vec<Rows>, ScoringError> {
        let tensors = self
            .capture
            .group(group.layer, group.kv_head, self.window, T::from_f64)?;
        let problem = self.problem(&tensors, group).map_err(self.refused(group))?;
        let (saliencies, _) = engine.run_in(buffers, &problem, observe);
        let rows = |column: Column| {
            let heads = saliencies.iter().map(|head| column.of(head).cloned());
            Some((column, heads.collect::<Option<_>>()?))
        };
        let untraced = Column::all().filter(|column| !self.traced.contains(column));
        Ok(untraced.filter_map(rows).collect())
    }

    fn by_traces(&self, group: Group, observe: &(dyn Fn() + Sync)) -> Result<Vec<Rows>, ScoringError> {
        let tensors = self
            .capture
            .group(group.layer, group.kv_head, self.window, |number| number)?;
        let mut columns: Vec<Rows> = self.traced.iter().map(|&column| (column, Vec::new())).collect();
        for (place, query_head) in self.capture.groups().query_heads(group.kv_head).enumerate() {
            let query = tensors.query.index_axis(Axis(0), place).to_owned();
            let (key, value) = (tensors.key.clone(), tensors.value.clone());
            let head = self.capture.metadata().head(query_head, query, key, value);
            let head = head.map_err(self.refused(group))?;
            let trace = reference_attention::attend(&head);
            for (column, heads) in &mut columns {
                heads.push(accumulate(&column.contributions(&head, &trace), QueryWindow::All));
            }
            // Beside the engine's blocks a trace is no step of its own.
            if !self.needs_engine() {
                observe();
            }
        }
        Ok(columns)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use obcache_scores::Score;
    use obd_core::Perturbation;

    const GROUP: Group = Group { layer: 0, kv_head: 0 };

    /// The committed capture over its last 20 queries, with these columns from traces as well as those that the engine lacks.
    fn computation(also_traced: &[Column]) -> Computation {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../captures/text-384.safetensors");
        let capture = CaptureFile::open(file.as_ref()).unwrap();
        let mut computation = Computation::new(capture, QueryWindow::Last(20), Heads::Each, Precision::F32);
        let also = also_traced.iter().filter(|column| !computation.traced.contains(column));
        computation.traced.extend(also.copied().collect::<Vec<_>>());
        computation
    }

    fn columns(computation: &Computation) -> Vec<Array2<f64>> {
        let steps = AtomicUsize::new(0);
        let observe = || _ = steps.fetch_add(1, Ordering::Relaxed);
        let mut kept = Kept::default();
        let columns = computation
            .columns(GROUP, (&Engine::new(), &mut kept), &observe)
            .unwrap();
        let layer = computation.capture.layers().map(PlannedLayer::from).next().unwrap();
        assert_eq!(steps.into_inner(), computation.blocks(&layer));
        columns
    }

    #[test]
    fn what_the_engine_does_not_have_comes_from_traces_and_the_rest_stays() {
        let all: Vec<Column> = Column::all().collect();
        let by_engine = columns(&computation(&[]));
        let by_traces = columns(&computation(&all));
        // As if the engine knew neither of the two.
        let unknown = [Column::Score(Score::Key), Column::Exact(Perturbation::JointZeroing)];
        let by_both = columns(&computation(&unknown));
        for (place, column) in all.iter().enumerate() {
            let expected = if unknown.contains(column) {
                &by_traces
            } else {
                &by_engine
            };
            assert_eq!(by_both[place], expected[place], "{}", column.name());
        }
        assert_ne!(by_engine, by_traces);
    }

    #[test]
    fn traces_beside_the_engine_take_their_memory() {
        let least = |traced: Vec<Column>| {
            let mut computation = computation(&[]);
            computation.traced = traced;
            let layer = computation.capture.layers().map(PlannedLayer::from).next().unwrap();
            computation
                .layout(&layer, 1, 1, computation.memory(&layer))
                .unwrap_err()
        };
        let pairs = 20 * 384 * 8 * TRACE_MATRICES;
        assert_eq!(least(vec![Column::Score(Score::Key)]), least(Vec::new()) + pairs);
    }
}
