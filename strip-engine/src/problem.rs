//! The query heads of one KV head, checked once when they are put together.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView3, Axis};
use obd_core::{Head, ProblemError, QueryWindow, check_axis};

use crate::checks::{check_scale, check_sinks, check_tensor, parameter};
use crate::element::Element;

/// The query heads that read one KV head, borrowed from wherever they are stored.
///
/// | tensor | shape |
/// |---|---|
/// | `query` | (group_size, query_len, head_dim) |
/// | `key` | (kv_len, head_dim) |
/// | `value` | (kv_len, value_dim) |
///
/// Alignment is bottom-right: with `query_len < kv_len` the last query sees the last token. Soft-cap, ALiBi, packed
/// sequences and arbitrary masks are left to the trace-based scores.
///
/// ```
/// use ndarray::array;
/// use strip_engine::Problem;
///
/// let (query, key, value) = (array![[[1.0f32]]], array![[0.5f32], [2.0]], array![[1.0f32], [3.0]]);
/// let problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
/// assert_eq!((problem.group_size(), problem.query_len(), problem.kv_len()), (1, 1, 2));
///
/// let refused = Problem::new(query.view(), key.view(), array![[1.0f32]].view()).unwrap_err();
/// assert_eq!(refused.to_string(), "value: kv_len is 1, expected 2 (kv_len of key)");
/// ```
#[derive(Debug, Clone)]
pub struct Problem<'a, T> {
    query: ArrayView3<'a, T>,
    key: ArrayView2<'a, T>,
    value: ArrayView2<'a, T>,
    scale: f64,
    causal: bool,
    sliding_window: Option<usize>,
    sinks: Option<Vec<f64>>,
    window: QueryWindow,
}

impl<'a, T: Element> Problem<'a, T> {
    /// A group with scale `1/sqrt(head_dim)` in which each query sees the tokens up to its own position, summed over
    /// all queries.
    ///
    /// # Errors
    /// [`ProblemError`] where an axis is empty, two axes disagree, or an element is NaN or infinite; rows of `query` are
    /// counted through the heads.
    pub fn new(
        query: ArrayView3<'a, T>,
        key: ArrayView2<'a, T>,
        value: ArrayView2<'a, T>,
    ) -> Result<Self, ProblemError> {
        check_tensor("query", &["group_size", "query_len", "head_dim"], &query)?;
        check_tensor("key", &["kv_len", "head_dim"], &key)?;
        check_tensor("value", &["kv_len", "value_dim"], &value)?;
        let head_dim = query.len_of(Axis(2));
        check_axis("key", "head_dim", key.ncols(), head_dim, "head_dim of query")?;
        check_axis("value", "kv_len", value.nrows(), key.nrows(), "kv_len of key")?;
        Ok(Self {
            scale: 1.0 / (head_dim as f64).sqrt(),
            causal: true,
            sliding_window: None,
            sinks: None,
            window: QueryWindow::All,
            query,
            key,
            value,
        })
    }

    /// A group of one query head, its query of shape (query_len, head_dim); otherwise as [`Problem::new`].
    ///
    /// # Errors
    /// As [`Problem::new`].
    pub fn one_head(
        query: ArrayView2<'a, T>,
        key: ArrayView2<'a, T>,
        value: ArrayView2<'a, T>,
    ) -> Result<Self, ProblemError> {
        Self::new(query.insert_axis(Axis(0)), key, value)
    }

    /// The same group with another scale.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `scale` is finite and above 0.
    pub fn with_scale(mut self, scale: f64) -> Result<Self, ProblemError> {
        self.scale = check_scale(scale)?;
        Ok(self)
    }

    /// The same group where each query sees also the tokens after its own position.
    pub fn bidirectional(mut self) -> Self {
        self.causal = false;
        self
    }

    /// The same group where each query sees no token `window` or more positions before it.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] where `window` is 0.
    pub fn with_sliding_window(mut self, window: usize) -> Result<Self, ProblemError> {
        if window == 0 {
            return Err(parameter("sliding_window", 0.0, "at least 1 token"));
        }
        self.sliding_window = Some(window);
        Ok(self)
    }

    /// The same group with one sink logit a query head: it joins the softmax denominator and has no value.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] unless there is one a head, [`ProblemError::Parameter`] unless all are finite.
    pub fn with_sinks(mut self, sinks: &[f64]) -> Result<Self, ProblemError> {
        check_axis("sinks", "group_size", sinks.len(), self.group_size(), "heads of query")?;
        self.sinks = Some(check_sinks(sinks)?);
        Ok(self)
    }

    /// The same group, computed for and summed over the queries of `window` alone.
    pub fn with_queries(mut self, window: QueryWindow) -> Self {
        self.window = window;
        self
    }

    /// Queries, shape (group_size, query_len, head_dim).
    pub fn query(&self) -> ArrayView3<'a, T> {
        self.query
    }

    /// Keys, shape (kv_len, head_dim).
    pub fn key(&self) -> ArrayView2<'a, T> {
        self.key
    }

    /// Values, shape (kv_len, value_dim).
    pub fn value(&self) -> ArrayView2<'a, T> {
        self.value
    }

    /// Factor on the dot product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Sink logit of a query head, if any.
    pub fn sink(&self, head: usize) -> Option<f64> {
        self.sinks.as_ref().map(|sinks| sinks[head])
    }

    /// The queries that are computed and summed over.
    pub fn queries(&self) -> Range<usize> {
        self.window.queries(self.query_len())
    }

    /// The tokens that `query` sees: always a range, empty where it sees none.
    pub fn visible(&self, query: usize) -> Range<usize> {
        let end = |position: usize| position.min(self.kv_len());
        // One past the query's own position, counted from before the first token where there are more queries.
        let next = (query + 1 + self.kv_len()).saturating_sub(self.query_len());
        let stop = if self.causal { end(next) } else { self.kv_len() };
        let start = match self.sliding_window {
            Some(window) => end((query + 1 + self.kv_len()).saturating_sub(self.query_len().saturating_add(window))),
            None => 0,
        };
        start.min(stop)..stop
    }

    /// Number of query heads.
    pub fn group_size(&self) -> usize {
        self.query.len_of(Axis(0))
    }

    /// Number of queries of a head.
    pub fn query_len(&self) -> usize {
        self.query.len_of(Axis(1))
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.key.nrows()
    }

    /// Channels of a query and of a key.
    pub fn head_dim(&self) -> usize {
        self.key.ncols()
    }

    /// Channels of a value.
    pub fn value_dim(&self) -> usize {
        self.value.ncols()
    }
}

/// A checked [`Head`] as a group of one, all its queries.
///
/// Refused with [`ProblemError::Unsupported`] where the head has a soft-cap, ALiBi, or a visibility other than causal order
/// and a sliding window: a mask, removed tokens, packed sequences or a selection of tokens.
impl<'a> TryFrom<&'a Head> for Problem<'a, f64> {
    type Error = ProblemError;

    fn try_from(head: &'a Head) -> Result<Self, ProblemError> {
        if head.softcap().is_some() {
            return Err(unsupported("a soft-cap", "logits without one"));
        }
        if head.alibi_slope() != 0.0 {
            return Err(unsupported("ALiBi", "softmax inputs without a bias"));
        }
        let Some(band) = head.visibility().band() else {
            let what = "a mask, removed tokens, packed sequences or a selection of tokens";
            return Err(unsupported(what, "causal order and a sliding window alone"));
        };
        let mut problem = Self::one_head(head.query().view(), head.key().view(), head.value().view())?;
        problem.causal = band.causal;
        problem.sliding_window = band.sliding_window;
        problem.scale = head.scale();
        problem.sinks = head.sink().map(|sink| vec![sink]);
        Ok(problem)
    }
}

fn unsupported(what: &'static str, expected: &'static str) -> ProblemError {
    ProblemError::Unsupported {
        by: "the strip engine",
        what,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, array};
    use obd_core::{Softcap, Visibility};

    /// A group of 2 heads of these lengths.
    struct Tensors(Array3<f32>, Array2<f32>, Array2<f32>);

    impl Tensors {
        fn new(queries: usize, tokens: usize) -> Self {
            Self(
                Array3::zeros((2, queries, 4)),
                Array2::zeros((tokens, 4)),
                Array2::zeros((tokens, 3)),
            )
        }

        fn problem(&self) -> Problem<'_, f32> {
            Problem::new(self.0.view(), self.1.view(), self.2.view()).unwrap()
        }
    }

    fn refused<T: Element>(problem: Result<Problem<T>, ProblemError>) -> String {
        problem.unwrap_err().to_string()
    }

    /// Logits ln 1, ln 2, ln 5 and values 8, 4, 0.
    fn logs() -> Head {
        let key = array![[0.0], [2f64.ln()], [5f64.ln()]];
        Head::new(array![[1.0]], key, array![[8.0], [4.0], [0.0]]).unwrap()
    }

    #[test]
    fn axes_are_where_the_table_says() {
        let tensors = Tensors::new(5, 7);
        let problem = tensors.problem();
        assert_eq!((problem.group_size(), problem.query_len(), problem.kv_len()), (2, 5, 7));
        assert_eq!((problem.head_dim(), problem.value_dim(), problem.scale()), (4, 3, 0.5));
        assert_eq!((problem.queries(), problem.sink(0)), (0..5, None));
        assert_eq!(problem.with_queries(QueryWindow::Last(2)).queries(), 3..5);
    }

    #[test]
    fn each_query_sees_a_range() {
        let seen = |problem: &Problem<f32>| (0..3).map(|i| problem.visible(i)).collect::<Vec<_>>();
        let tensors = Tensors::new(3, 5);
        assert_eq!(seen(&tensors.problem()), [0..3, 0..4, 0..5]);
        assert_eq!(seen(&tensors.problem().bidirectional()), [0..5, 0..5, 0..5]);
        let window = tensors.problem().with_sliding_window(2).unwrap();
        assert_eq!(seen(&window), [1..3, 2..4, 3..5]);
        assert_eq!(seen(&window.bidirectional()), [1..5, 2..5, 3..5]);
        let wide = tensors.problem().with_sliding_window(usize::MAX).unwrap();
        assert_eq!(seen(&wide), [0..3, 0..4, 0..5]);
        assert_eq!(seen(&Tensors::new(3, 2).problem()), [0..0, 0..1, 0..2]);
    }

    #[test]
    fn what_each_query_sees_is_what_visibility_says() {
        for (queries, tokens) in [(3, 5), (5, 3), (4, 4)] {
            let tensors = Tensors::new(queries, tokens);
            for window in [1, 2, 4, 9] {
                for causal in [true, false] {
                    let mut problem = tensors.problem().with_sliding_window(window).unwrap();
                    let mut visibility = Visibility::all(queries, tokens).sliding_window(window).unwrap();
                    if causal {
                        visibility = visibility.causal();
                    } else {
                        problem = problem.bidirectional();
                    }
                    for (i, j) in (0..queries).flat_map(|i| (0..tokens).map(move |j| (i, j))) {
                        assert_eq!(
                            problem.visible(i).contains(&j),
                            visibility.visible(i, j),
                            "{window} {i} {j}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let Tensors(query, key, value) = Tensors::new(2, 3);
        let new = |query: &Array3<f32>, key: &Array2<f32>, value: &Array2<f32>| {
            refused(Problem::new(query.view(), key.view(), value.view()))
        };
        let none = Array3::zeros((2, 0, 4));
        assert_eq!(new(&none, &key, &value), "query: query_len is 0, expected at least 1");
        let other = Array2::zeros((3, 5));
        assert_eq!(
            new(&query, &other, &value),
            "key: head_dim is 5, expected 4 (head_dim of query)"
        );
        let other = Array2::zeros((4, 3));
        assert_eq!(
            new(&query, &key, &other),
            "value: kv_len is 4, expected 3 (kv_len of key)"
        );
        let mut other = value.clone();
        other[[2, 1]] = f32::NAN;
        assert_eq!(
            new(&query, &key, &other),
            "value[2, 1] is NaN, expected a finite number"
        );
    }

    #[test]
    fn parameters_are_checked_and_kept() {
        let tensors = Tensors::new(2, 3);
        let problem = tensors.problem();
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(problem.clone().with_scale(scale).is_err());
        }
        assert_eq!(problem.clone().with_scale(2.0).unwrap().scale(), 2.0);
        assert!(problem.clone().with_sliding_window(0).is_err());
        let sinks = problem.clone().with_sinks(&[1.0, -2.0]).unwrap();
        assert_eq!((sinks.sink(0), sinks.sink(1)), (Some(1.0), Some(-2.0)));
        let text = refused(problem.clone().with_sinks(&[1.0]));
        assert_eq!(text, "sinks: group_size is 1, expected 2 (heads of query)");
        assert_eq!(
            refused(problem.with_sinks(&[1.0, f64::NAN])),
            "sink is NaN, expected a finite number"
        );
    }

    #[test]
    fn a_head_enters_unless_it_asks_for_more() {
        let head = logs().with_sink(2.0).unwrap().with_scale(3.0).unwrap();
        let problem = Problem::try_from(&head).unwrap();
        assert_eq!(
            (problem.scale(), problem.sink(0), problem.visible(0)),
            (3.0, Some(2.0), 0..3)
        );
        assert_eq!(problem.value(), array![[8.0], [4.0], [0.0]]);
        let window = Visibility::all(1, 3).sliding_window(2).unwrap();
        let head = logs().with_visibility(window).unwrap();
        assert_eq!(Problem::try_from(&head).unwrap().visible(0), 1..3);
        let capped = logs().with_softcap(Softcap::new(30.0).unwrap());
        let biased = logs().with_alibi(0.5).unwrap();
        let packed = Visibility::packed(&[0, 0, 1], &[0, 1, 3]).unwrap();
        for (head, what) in [
            (capped, "a soft-cap"),
            (biased, "ALiBi"),
            (logs().without(&[1]), "a mask, removed tokens, packed sequences"),
            (
                logs().with_visibility(packed).unwrap(),
                "a mask, removed tokens, packed sequences",
            ),
            (
                logs().select(&[0], &[0, 2]).unwrap(),
                "a mask, removed tokens, packed sequences",
            ),
        ] {
            let text = refused(Problem::try_from(&head));
            assert!(
                text.starts_with(&format!("the strip engine does not support {what}")),
                "{text}"
            );
        }
    }
}
