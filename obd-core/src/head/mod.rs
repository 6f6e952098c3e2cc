//! One query head's attention problem, checked once when it is made.

mod replacement;
mod selection;
mod spec;

pub use spec::AttentionSpec;

use ndarray::Array2;

use crate::check::{check_axis, check_tensor};
use crate::limits::{check_logits, check_value};
use crate::{ProblemError, Softcap, Visibility};

/// One query head with the keys and values it reads, and how it attends to them.
///
/// | part | shape |
/// |---|---|
/// | `query` | (query_len, head_dim) |
/// | `key` | (kv_len, head_dim) |
/// | `value` | (kv_len, value_dim) |
/// | `spec` | scale, soft-cap, sink and bias, and the visibility of shape (query_len, kv_len) |
///
/// The softmax input of a visible pair is `softcap(z) + bias` with `z = scale · q·k`; an optional sink logit joins
/// the softmax denominator and has no value. `S` is `f64` for all but the reference attention, which lifts a
/// checked head to dual or high-precision numbers with [`Head::lift`].
///
/// No head exists whose values, sink logit or softmax inputs go beyond [`LIMIT`](crate::LIMIT), so no sum or square
/// that a score, a truth or an oracle forms from it overflows.
///
/// Made from a head: with other options ([`Head::with_sink`] and its like), over another cache ([`Head::with_cache`],
/// [`Head::shift_keys`], [`Head::replace_key`], [`Head::replace_value`]), of some queries and tokens ([`Head::select`],
/// [`Head::prefix`], [`Head::without`]).
///
/// ```
/// use ndarray::array;
/// use obd_core::{Head, ProblemError};
///
/// let head = Head::new(array![[1.0]], array![[0.5], [2.0]], array![[1.0], [3.0]]).unwrap();
/// assert_eq!((head.query_len(), head.kv_len(), head.scale()), (1, 2, 1.0));
///
/// let refused = Head::new(array![[1.0]], array![[0.5], [2.0]], array![[1.0]]);
/// assert!(matches!(refused, Err(ProblemError::Axis { tensor: "value", axis: "kv_len", .. })));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Head<S = f64> {
    query: Array2<S>,
    key: Array2<S>,
    value: Array2<S>,
    spec: AttentionSpec,
}

impl Head {
    /// A head with scale `1/sqrt(head_dim)` in which each query sees the tokens up to its own position.
    ///
    /// # Errors
    /// [`ProblemError`] where an axis is empty, two axes disagree, an element is NaN or infinite, or a value or a logit is
    /// beyond [`LIMIT`](crate::LIMIT).
    pub fn new(query: Array2<f64>, key: Array2<f64>, value: Array2<f64>) -> Result<Self, ProblemError> {
        let visibility = Visibility::all(query.nrows(), key.nrows()).causal();
        let spec = AttentionSpec::new(query.ncols(), visibility);
        Self::from_parts(query, key, value, spec)
    }

    /// A head of these tensors that attends as another head does.
    ///
    /// # Errors
    /// As [`Head::new`], and [`ProblemError::Axis`] where the visibility of `spec` is not of shape (query_len, kv_len).
    pub fn from_parts(
        query: Array2<f64>,
        key: Array2<f64>,
        value: Array2<f64>,
        spec: AttentionSpec,
    ) -> Result<Self, ProblemError> {
        check_tensor("query", ["query_len", "head_dim"], &query)?;
        check_tensor("key", ["kv_len", "head_dim"], &key)?;
        check_tensor("value", ["kv_len", "value_dim"], &value)?;
        check_axis("key", "head_dim", key.ncols(), query.ncols(), "head_dim of query")?;
        check_axis("value", "kv_len", value.nrows(), key.nrows(), "kv_len of key")?;
        for (token, row) in value.rows().into_iter().enumerate() {
            check_value(token, row)?;
        }
        let head = Self {
            query,
            key,
            value,
            spec,
        };
        head.check_spec()
    }

    /// The head itself where its visibility has its shape and every softmax input keeps below the limit.
    fn check_spec(self) -> Result<Self, ProblemError> {
        let (query_len, kv_len) = (self.visibility().query_len(), self.visibility().kv_len());
        check_axis(
            "visibility",
            "query_len",
            query_len,
            self.query_len(),
            "query_len of query",
        )?;
        check_axis("visibility", "kv_len", kv_len, self.kv_len(), "kv_len of key")?;
        let bias = |i, j| self.bias(i, j);
        check_logits(&self.query, &self.key, self.scale(), self.spec.largest_bias(), bias)?;
        Ok(self)
    }

    /// The same head with another scale.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `scale` is finite and above 0, [`ProblemError::Logit`] where it lifts a logit
    /// beyond [`LIMIT`](crate::LIMIT).
    pub fn with_scale(self, scale: f64) -> Result<Self, ProblemError> {
        let spec = self.spec.with_scale(scale)?;
        Self { spec, ..self }.check_spec()
    }

    /// The same head with a soft-cap on its logits.
    pub fn with_softcap(self, softcap: Softcap) -> Self {
        let spec = self.spec.with_softcap(softcap);
        Self { spec, ..self }
    }

    /// The same head with a sink: a logit that joins the softmax denominator and has no value.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `sink` is finite and within [`LIMIT`](crate::LIMIT).
    pub fn with_sink(self, sink: f64) -> Result<Self, ProblemError> {
        let spec = self.spec.with_sink(sink)?;
        Ok(Self { spec, ..self })
    }

    /// The same head with the ALiBi bias `-slope · |position of query - position of token|`.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `slope` is finite, [`ProblemError::Logit`] where it lifts a softmax input beyond
    /// [`LIMIT`](crate::LIMIT).
    pub fn with_alibi(self, slope: f64) -> Result<Self, ProblemError> {
        let spec = self.spec.with_alibi(slope)?;
        Self { spec, ..self }.check_spec()
    }

    /// The same head with another visibility.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where its shape is not (query_len, kv_len), [`ProblemError::Logit`] where its positions lift
    /// a bias beyond [`LIMIT`](crate::LIMIT).
    pub fn with_visibility(self, visibility: Visibility) -> Result<Self, ProblemError> {
        let spec = self.spec.with_visibility(visibility);
        Self { spec, ..self }.check_spec()
    }
}

impl<S> Head<S> {
    /// The same head with every element of query, key and value converted by `convert`.
    pub fn lift<T>(&self, convert: impl Fn(&S) -> T) -> Head<T> {
        Head {
            query: self.query.map(&convert),
            key: self.key.map(&convert),
            value: self.value.map(&convert),
            spec: self.spec.clone(),
        }
    }

    /// Queries, shape (query_len, head_dim).
    pub fn query(&self) -> &Array2<S> {
        &self.query
    }

    /// Keys, shape (kv_len, head_dim).
    pub fn key(&self) -> &Array2<S> {
        &self.key
    }

    /// Values, shape (kv_len, value_dim).
    pub fn value(&self) -> &Array2<S> {
        &self.value
    }

    /// How the head attends.
    pub fn spec(&self) -> &AttentionSpec {
        &self.spec
    }

    /// Factor on the dot product.
    pub fn scale(&self) -> f64 {
        self.spec.scale()
    }

    /// Soft-cap on the logits, if any.
    pub fn softcap(&self) -> Option<Softcap> {
        self.spec.softcap()
    }

    /// Sink logit, if any.
    pub fn sink(&self) -> Option<f64> {
        self.spec.sink()
    }

    /// Slope of the ALiBi bias; 0 without ALiBi.
    pub fn alibi_slope(&self) -> f64 {
        self.spec.alibi_slope()
    }

    /// ALiBi bias of a pair, `-slope · |position of query - position of token|`; 0 without ALiBi.
    ///
    /// # Panics
    /// Where there is no such query or token.
    pub fn bias(&self, query: usize, token: usize) -> f64 {
        self.spec.bias(query, token)
    }

    /// Who sees whom.
    pub fn visibility(&self) -> &Visibility {
        self.spec.visibility()
    }

    /// Number of queries.
    pub fn query_len(&self) -> usize {
        self.query.nrows()
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.key.nrows()
    }

    /// Channels of a query and of a key.
    pub fn head_dim(&self) -> usize {
        self.query.ncols()
    }

    /// Channels of a value.
    pub fn value_dim(&self) -> usize {
        self.value.ncols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::two_by_three as head;
    use ndarray::array;

    #[test]
    fn axes_are_where_the_table_says() {
        let head = head();
        assert_eq!(
            (head.query_len(), head.kv_len(), head.head_dim(), head.value_dim()),
            (2, 3, 4, 2)
        );
        assert_eq!(head.scale(), 0.5);
        assert_eq!((head.softcap(), head.sink()), (None, None));
        assert_eq!(head.visibility(), &Visibility::all(2, 3).causal());
    }

    #[test]
    fn empty_axes_are_named() {
        let filled = || Array2::<f64>::zeros((1, 1));
        let no_rows = || Array2::<f64>::zeros((0, 1));
        let refused = |tensor, axis| Err(ProblemError::Empty { tensor, axis });
        assert_eq!(Head::new(no_rows(), filled(), filled()), refused("query", "query_len"));
        assert_eq!(
            Head::new(Array2::zeros((1, 0)), filled(), filled()),
            refused("query", "head_dim")
        );
        assert_eq!(Head::new(filled(), no_rows(), filled()), refused("key", "kv_len"));
        assert_eq!(Head::new(filled(), filled(), no_rows()), refused("value", "kv_len"));
        assert_eq!(
            Head::new(filled(), filled(), Array2::zeros((1, 0))),
            refused("value", "value_dim")
        );
    }

    #[test]
    fn axes_that_disagree_are_named_with_both_numbers() {
        let refused = Head::new(Array2::zeros((1, 2)), Array2::zeros((3, 4)), Array2::zeros((3, 1)));
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "key: head_dim is 4, expected 2 (head_dim of query)");
    }

    #[test]
    fn an_element_that_is_not_finite_is_named_with_its_place() {
        let value = array![[0.0, 1.0], [2.0, f64::NEG_INFINITY]];
        let refused = Head::new(Array2::zeros((1, 1)), Array2::zeros((2, 1)), value);
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "value[1, 1] is -inf, expected a finite number");
    }

    #[test]
    fn parameters_are_checked_and_kept() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(head().with_scale(scale).is_err());
        }
        assert!(head().with_sink(f64::NAN).is_err());
        assert!(head().with_alibi(f64::INFINITY).is_err());
        let softcap = Softcap::new(30.0).unwrap();
        let head = head()
            .with_scale(2.0)
            .unwrap()
            .with_sink(-3.0)
            .unwrap()
            .with_softcap(softcap);
        assert_eq!(
            (head.scale(), head.sink(), head.softcap()),
            (2.0, Some(-3.0), Some(softcap))
        );
    }

    #[test]
    fn alibi_falls_with_distance() {
        let head = head().with_alibi(0.5).unwrap();
        assert_eq!((head.alibi_slope(), self::head().alibi_slope()), (0.5, 0.0));
        // Query 0 stands at position 1, query 1 at position 2.
        assert_eq!(
            [head.bias(0, 0), head.bias(0, 1), head.bias(0, 2), head.bias(1, 0)],
            [-0.5, 0.0, -0.5, -1.0]
        );
    }

    #[test]
    fn visibility_must_have_the_shape_of_the_head() {
        let all = Visibility::all(2, 3);
        assert_eq!(head().with_visibility(all.clone()).unwrap().visibility(), &all);
        assert!(head().with_visibility(Visibility::all(3, 3)).is_err());
        assert!(head().with_visibility(Visibility::all(2, 2)).is_err());
    }

    #[test]
    fn parts_make_the_head_again() {
        let head = head().with_sink(1.0).unwrap().with_alibi(0.5).unwrap();
        let [query, key, value] = [head.query(), head.key(), head.value()].map(Array2::clone);
        let again = Head::from_parts(query, key, value, head.spec().clone());
        assert_eq!(again, Ok(head));
    }

    #[test]
    fn a_spec_of_another_shape_is_refused() {
        let head = head();
        let [key, value] = [head.key(), head.value()].map(Array2::clone);
        let refused = Head::from_parts(array![[1.0, 2.0, 3.0, 4.0]], key, value, head.spec().clone());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "visibility: query_len is 2, expected 1 (query_len of query)"
        );
    }

    #[test]
    fn what_would_overflow_is_refused() {
        let wide = |rows: usize, x: f64| Array2::from_elem((rows, 1), x);
        let new = Head::new(wide(1, 1e200), array![[0.0], [1e200]], wide(2, 1.0));
        assert_eq!(
            new.unwrap_err().to_string(),
            "query and key: the logit of query 0 and token 1 may reach inf, expected at most 1e70"
        );
        let error = Head::new(wide(1, 0.0), wide(1, 0.0), wide(1, 1e71)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value[0, 0] is 1e71, expected at most 1e70 either way"
        );
        assert!(head().with_sink(1e71).is_err());
    }

    #[test]
    fn an_option_that_lifts_a_logit_too_far_is_refused_with_the_pair() {
        let logit = |refused: Result<Head, ProblemError>| match refused {
            Err(ProblemError::Logit { query, token, .. }) => (query, token),
            other => panic!("{other:?}"),
        };
        // Query 0 with channels 1, 2, 3, 4 meets key 0 in the first alone.
        assert_eq!(logit(head().with_scale(2e70)), (0, 0));
        assert_eq!(logit(head().with_alibi(1.1e70)), (0, 0));
        assert_eq!(logit(head().with_alibi(-1.1e70)), (0, 0));
        // Two steps from query 1 to token 0; query 0 is one step from both its ends.
        assert_eq!(logit(head().with_alibi(0.6e70)), (1, 0));
        // Packed, query 1 stands at token 2 and query 0 at no token: 1 step before the first.
        let packed = Visibility::packed(&[0, 1, 2], &[0, 0, 3]).unwrap();
        let biased = head().with_alibi(0.4e70).unwrap();
        assert_eq!(logit(biased.with_visibility(packed)), (0, 2));
    }

    #[test]
    fn a_refused_change_of_the_bias_counts_the_logit_it_joins() {
        // The query stands at position 1: with token 0 it has logit 0.6e70 and one step of bias.
        let far = Head::new(array![[0.6e70]], array![[1.0], [0.0]], array![[1.0], [1.0]]).unwrap();
        assert!(far.clone().with_alibi(0.3e70).is_ok());
        assert!(far.with_alibi(0.5e70).is_err());
    }

    #[test]
    fn lifting_converts_every_tensor_and_keeps_the_parameters() {
        let doubled = head().with_sink(1.0).unwrap().lift(|x| 2.0 * x);
        assert_eq!(doubled.query(), &(head().query() * 2.0));
        assert_eq!(doubled.key(), &(head().key() * 2.0));
        assert_eq!(doubled.value(), &(head().value() * 2.0));
        assert_eq!((doubled.scale(), doubled.sink()), (0.5, Some(1.0)));
    }
}
