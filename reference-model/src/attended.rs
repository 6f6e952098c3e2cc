//! What one layer's attention took in and gave out.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use obd_core::{Head, ProblemError, QueryWindow, Visibility};
use reference_attention::attend;
use strip_engine::{Engine, Problem, Saliencies};

use crate::{Config, Number};

/// Queries, keys and values of one layer after position encoding.
pub(crate) struct Projected<T> {
    pub query: Array3<T>,
    pub key: Array3<T>,
    pub value: Array3<T>,
}

/// Queries, keys and values of one layer after position encoding, and the saliencies of the tokens.
///
/// | field | shape |
/// |---|---|
/// | `query` | (num_query_heads, tokens, head_dim) |
/// | `key`, `value` | (num_kv_heads, tokens, head_dim) |
/// | `saliencies` | one a query head, summed over all queries |
#[derive(Debug, Clone)]
pub struct Attended<T> {
    /// Queries.
    pub query: Array3<T>,
    /// Keys as they stand in the cache.
    pub key: Array3<T>,
    /// Values.
    pub value: Array3<T>,
    /// Output and every saliency of each query head.
    pub saliencies: Vec<Saliencies<T>>,
    /// Tokens that a query sees back from its own position, itself included, if not all.
    pub sliding_window: Option<usize>,
}

impl<T: Number> Attended<T> {
    /// Attends by the strip engine.
    pub(crate) fn by_strips(
        projected: Projected<T>,
        config: &Config,
        sliding_window: Option<usize>,
    ) -> Result<Self, ProblemError> {
        let Projected { query, key, value } = projected;
        let mut attended = Self {
            query,
            key,
            value,
            saliencies: Vec::new(),
            sliding_window,
        };
        for kv_head in 0..config.groups.num_kv_heads() {
            let group = attended.saliencies_over(config, kv_head, QueryWindow::All)?;
            attended.saliencies.extend(group);
        }
        Ok(attended)
    }

    /// Saliencies that the queries of `window` alone give to the tokens, one a query head of the group of `kv_head`.
    ///
    /// # Errors
    /// [`ProblemError`] where a number is not finite.
    pub fn saliencies_over(
        &self,
        config: &Config,
        kv_head: usize,
        window: QueryWindow,
    ) -> Result<Vec<Saliencies<T>>, ProblemError> {
        let query = self.query.slice(s![config.groups.query_heads(kv_head), .., ..]);
        let row = |tensor: &'static str| -> ArrayView2<T> {
            let tensor = if tensor == "key" { &self.key } else { &self.value };
            tensor.index_axis(Axis(0), kv_head)
        };
        let problem = Problem::new(query, row("key"), row("value"))?.with_scale(config.scale())?;
        let problem = match self.sliding_window {
            Some(window) => problem.with_sliding_window(window)?,
            None => problem,
        };
        Ok(Engine::new().run(&problem.with_queries(window)))
    }

    /// The attention problem of one query head over the queries of `window`, in 64 bits.
    ///
    /// # Errors
    /// [`ProblemError`] where a number is not finite or beyond the limits of a head.
    pub fn head(&self, config: &Config, query_head: usize, window: QueryWindow) -> Result<Head, ProblemError> {
        let queries = window.queries(self.query.len_of(Axis(1)));
        let query = self.query.slice(s![query_head, queries, ..]);
        let kv_head = config.groups.kv_head(query_head);
        let (key, value) = (
            self.key.index_axis(Axis(0), kv_head),
            self.value.index_axis(Axis(0), kv_head),
        );
        head(query, (key, value), config, self.sliding_window)
    }
}

impl<T: Number> Projected<T> {
    /// Attention output of each query head, shape (tokens, head_dim), by explicit loops in 64 bits.
    pub fn by_reference(&self, config: &Config, sliding_window: Option<usize>) -> Result<Vec<Array2<T>>, ProblemError> {
        let output = |query_head: usize| {
            let query = self.query.index_axis(Axis(0), query_head);
            let kv_head = config.groups.kv_head(query_head);
            let (key, value) = (
                self.key.index_axis(Axis(0), kv_head),
                self.value.index_axis(Axis(0), kv_head),
            );
            Ok(attend(&head(query, (key, value), config, sliding_window)?)
                .output
                .map(|&o| T::from_f64(o)))
        };
        (0..config.groups.num_query_heads()).map(output).collect()
    }
}

/// A checked head, causal, of these queries, keys and values.
fn head<T: Number>(
    query: ArrayView2<T>,
    (key, value): (ArrayView2<T>, ArrayView2<T>),
    config: &Config,
    sliding_window: Option<usize>,
) -> Result<Head, ProblemError> {
    let lift = |rows: ArrayView2<T>| rows.map(|x| x.to_f64());
    let mut visibility = Visibility::all(query.nrows(), key.nrows()).causal();
    if let Some(window) = sliding_window {
        visibility = visibility.sliding_window(window)?;
    }
    Head::new(lift(query), lift(key), lift(value))?
        .with_scale(config.scale())?
        .with_visibility(visibility)
}
