//! One query head's attention problem, checked once at the door.

use ndarray::{Array1, Array2, s};

use crate::door;
use crate::error::{check_axis, check_finite};
use crate::{ProblemError, Softcap, Visibility};

/// One query head with the keys and values it reads.
///
/// | tensor | shape |
/// |---|---|
/// | `query` | (query_len, head_dim) |
/// | `key` | (kv_len, head_dim) |
/// | `value` | (kv_len, value_dim) |
///
/// The softmax input of a visible pair is `softcap(z) + bias` with `z = scale · q·k`; an optional sink logit joins
/// the softmax denominator and has no value. `S` is `f64` for all but the reference attention, which lifts a
/// checked head to dual or high-precision numbers with [`Head::lift`].
///
/// No head exists whose values, sink logit or softmax inputs go beyond [`LIMIT`](crate::LIMIT), so no sum or square
/// that a score, a truth or an oracle forms from it overflows.
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
    scale: f64,
    softcap: Option<Softcap>,
    sink: Option<f64>,
    alibi_slope: f64,
    visibility: Visibility,
}

impl Head {
    /// A head with scale `1/sqrt(head_dim)` in which each query sees the tokens up to its own position.
    ///
    /// # Errors
    /// [`ProblemError`] where an axis is empty, two axes disagree, an element is NaN or infinite, or a value or a logit is
    /// beyond [`LIMIT`](crate::LIMIT).
    pub fn new(query: Array2<f64>, key: Array2<f64>, value: Array2<f64>) -> Result<Self, ProblemError> {
        check_tensor("query", ["query_len", "head_dim"], &query)?;
        check_tensor("key", ["kv_len", "head_dim"], &key)?;
        check_tensor("value", ["kv_len", "value_dim"], &value)?;
        check_axis("key", "head_dim", key.ncols(), query.ncols(), "head_dim of query")?;
        check_axis("value", "kv_len", value.nrows(), key.nrows(), "kv_len of key")?;
        for (token, row) in value.rows().into_iter().enumerate() {
            door::check_value(token, row)?;
        }
        let head = Self {
            scale: 1.0 / (query.ncols() as f64).sqrt(),
            softcap: None,
            sink: None,
            alibi_slope: 0.0,
            visibility: Visibility::all(query.nrows(), key.nrows()).causal(),
            query,
            key,
            value,
        };
        head.check_logits()
    }

    /// The head itself where every softmax input keeps below the limit.
    fn check_logits(self) -> Result<Self, ProblemError> {
        let farthest = self.query_len().max(self.kv_len()) as f64;
        let largest_bias = self.alibi_slope.abs() * farthest;
        door::check_logits(&self.query, &self.key, self.scale, largest_bias, |i, j| self.bias(i, j))?;
        Ok(self)
    }

    /// The same head with another scale.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `scale` is finite and above 0, [`ProblemError::Logit`] where it lifts a logit
    /// beyond [`LIMIT`](crate::LIMIT).
    pub fn with_scale(mut self, scale: f64) -> Result<Self, ProblemError> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(ProblemError::Parameter {
                parameter: "scale",
                value: scale,
                expected: "a finite number above 0",
            });
        }
        self.scale = scale;
        self.check_logits()
    }

    /// The same head with a soft-cap on its logits.
    pub fn with_softcap(mut self, softcap: Softcap) -> Self {
        self.softcap = Some(softcap);
        self
    }

    /// The same head with a sink: a logit that joins the softmax denominator and has no value.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `sink` is finite and within [`LIMIT`](crate::LIMIT).
    pub fn with_sink(mut self, sink: f64) -> Result<Self, ProblemError> {
        door::check_sink(sink)?;
        self.sink = Some(sink);
        Ok(self)
    }

    /// The same head with the ALiBi bias `-slope · |position of query - token|`.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `slope` is finite, [`ProblemError::Logit`] where it lifts a softmax input beyond
    /// [`LIMIT`](crate::LIMIT).
    pub fn with_alibi(mut self, slope: f64) -> Result<Self, ProblemError> {
        if !slope.is_finite() {
            return Err(ProblemError::Parameter {
                parameter: "alibi_slope",
                value: slope,
                expected: "a finite number",
            });
        }
        self.alibi_slope = slope;
        self.check_logits()
    }
}

impl<S> Head<S> {
    /// The same head with another visibility.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where its shape is not (query_len, kv_len).
    pub fn with_visibility(mut self, visibility: Visibility) -> Result<Self, ProblemError> {
        check_axis(
            "visibility",
            "query_len",
            visibility.query_len(),
            self.query_len(),
            "query_len of query",
        )?;
        check_axis(
            "visibility",
            "kv_len",
            visibility.kv_len(),
            self.kv_len(),
            "kv_len of key",
        )?;
        self.visibility = visibility;
        Ok(self)
    }

    /// The same head with `tokens` hidden from every query. Tokens past the end are ignored.
    pub fn without(mut self, tokens: &[usize]) -> Self {
        self.visibility = self.visibility.without(tokens);
        self
    }

    /// The problem as it stood when only the first `tokens` were cached: they, and the queries that stood among them.
    ///
    /// `None` where no token or no query is left, or where there are not so many tokens.
    pub fn prefix(&self, tokens: usize) -> Option<Self>
    where
        S: Clone,
    {
        let visibility = self.visibility.prefix(tokens)?;
        Some(Self {
            query: self.query.slice(s![..visibility.query_len(), ..]).to_owned(),
            key: self.key.slice(s![..tokens, ..]).to_owned(),
            value: self.value.slice(s![..tokens, ..]).to_owned(),
            visibility,
            scale: self.scale,
            softcap: self.softcap,
            sink: self.sink,
            alibi_slope: self.alibi_slope,
        })
    }

    /// The same head with every element of query, key and value converted by `convert`.
    pub fn lift<T>(&self, convert: impl Fn(&S) -> T) -> Head<T> {
        Head {
            query: self.query.map(&convert),
            key: self.key.map(&convert),
            value: self.value.map(&convert),
            scale: self.scale,
            softcap: self.softcap,
            sink: self.sink,
            alibi_slope: self.alibi_slope,
            visibility: self.visibility.clone(),
        }
    }

    /// The same head with the key of `token` replaced, shape (head_dim); `number` reads an element as f64, which the
    /// limits are checked in.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not head_dim, otherwise as [`Head::new`].
    pub fn replace_key(
        mut self,
        token: usize,
        key: Array1<S>,
        number: impl Fn(&S) -> f64,
    ) -> Result<Self, ProblemError> {
        let row = key.map(&number);
        check_finite("key", token, row.iter().copied())?;
        replace_row("key", "head_dim", &mut self.key, token, key)?;
        for (i, query) in self.query.rows().into_iter().enumerate() {
            let query = query.map(&number);
            let magnitude = door::input(query.view(), row.view(), self.scale, self.bias(i, token));
            door::check_pair((i, token), magnitude)?;
        }
        Ok(self)
    }

    /// The same head with the value of `token` replaced, shape (value_dim); `number` reads an element as f64, which the
    /// limits are checked in.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not value_dim, otherwise as [`Head::new`].
    pub fn replace_value(
        mut self,
        token: usize,
        value: Array1<S>,
        number: impl Fn(&S) -> f64,
    ) -> Result<Self, ProblemError> {
        let row = value.map(&number);
        check_finite("value", token, row.iter().copied())?;
        door::check_value(token, row.view())?;
        replace_row("value", "value_dim", &mut self.value, token, value)?;
        Ok(self)
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

    /// Factor on the dot product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Soft-cap on the logits, if any.
    pub fn softcap(&self) -> Option<Softcap> {
        self.softcap
    }

    /// Sink logit, if any.
    pub fn sink(&self) -> Option<f64> {
        self.sink
    }

    /// Slope of the ALiBi bias; 0 without ALiBi.
    pub fn alibi_slope(&self) -> f64 {
        self.alibi_slope
    }

    /// ALiBi bias of a pair, `-slope · |position of query - token|`; 0 without ALiBi.
    pub fn bias(&self, query: usize, token: usize) -> f64 {
        -self.alibi_slope * self.visibility.position(query).abs_diff(token as isize) as f64
    }

    /// Who sees whom.
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
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

fn check_tensor(tensor: &'static str, axes: [&'static str; 2], elements: &Array2<f64>) -> Result<(), ProblemError> {
    for (axis, &length) in axes.into_iter().zip(elements.shape()) {
        if length == 0 {
            return Err(ProblemError::Empty { tensor, axis });
        }
    }
    for (row, elements) in elements.rows().into_iter().enumerate() {
        check_finite(tensor, row, elements.iter().copied())?;
    }
    Ok(())
}

fn replace_row<S>(
    tensor: &'static str,
    axis: &'static str,
    rows: &mut Array2<S>,
    token: usize,
    row: Array1<S>,
) -> Result<(), ProblemError> {
    if token >= rows.nrows() {
        return Err(ProblemError::Axis {
            tensor,
            axis: "kv_len",
            found: rows.nrows(),
            expected: token + 1,
            reason: "the token to replace",
        });
    }
    check_axis(tensor, axis, row.len(), rows.ncols(), "the row to replace")?;
    for (element, new) in rows.row_mut(token).iter_mut().zip(row) {
        *element = new;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn head() -> Head {
        Head::new(
            array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]],
            array![[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
            array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        )
        .unwrap()
    }

    fn number(x: &f64) -> f64 {
        *x
    }

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
        assert!(!head().without(&[1]).visibility().visible(1, 1));
    }

    #[test]
    fn one_row_is_replaced_and_the_others_stay() {
        let key = head().replace_key(1, array![9.0, 9.0, 9.0, 9.0], number).unwrap();
        assert_eq!(key.key().row(1), array![9.0, 9.0, 9.0, 9.0]);
        assert_eq!(key.key().row(0), head().key().row(0));
        let value = head().replace_value(2, array![7.0, 8.0], number).unwrap();
        assert_eq!(value.value(), array![[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]]);
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused() {
        let error = head().replace_key(3, Array1::zeros(4), number).unwrap_err();
        assert_eq!(error.to_string(), "key: kv_len is 3, expected 4 (the token to replace)");
        let error = head().replace_value(0, Array1::zeros(3), number).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value: value_dim is 3, expected 2 (the row to replace)"
        );
    }

    #[test]
    fn what_would_overflow_is_refused_at_every_door() {
        let logit = |refused: Result<Head, ProblemError>| match refused {
            Err(ProblemError::Logit { query, token, .. }) => (query, token),
            other => panic!("{other:?}"),
        };
        let wide = |rows: usize, x: f64| Array2::from_elem((rows, 1), x);
        let new = Head::new(wide(1, 1e200), array![[0.0], [1e200]], wide(2, 1.0));
        assert_eq!(
            new.unwrap_err().to_string(),
            "query and key: the logit of query 0 and token 1 may reach inf, expected at most 1e70"
        );
        // Query 0 with channels 1, 2, 3, 4 meets key 0 in the first alone.
        assert_eq!(logit(head().with_scale(2e70)), (0, 0));
        assert_eq!(logit(head().with_alibi(1.1e70)), (0, 0));
        assert_eq!(logit(head().with_alibi(-1.1e70)), (0, 0));
        // Two steps from query 1 to token 0; query 0 is one step from both its ends.
        assert_eq!(logit(head().with_alibi(0.6e70)), (1, 0));
        assert_eq!(
            logit(head().replace_key(2, array![0.0, 0.0, 0.0, 1e70], number)),
            (0, 2)
        );
        assert!(head().with_sink(1e71).is_err());
        let error = head().replace_value(1, array![0.0, -1e71], number).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value[1, 1] is -1e71, expected at most 1e70 either way"
        );
        let error = Head::new(wide(1, 0.0), wide(1, 0.0), wide(1, 1e71)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value[0, 0] is 1e71, expected at most 1e70 either way"
        );
        let error = head()
            .replace_key(0, Array1::from_elem(4, f64::NAN), number)
            .unwrap_err();
        assert_eq!(error.to_string(), "key[0, 0] is NaN, expected a finite number");
        let error = head().replace_value(0, array![0.0, f64::INFINITY], number).unwrap_err();
        assert_eq!(error.to_string(), "value[0, 1] is inf, expected a finite number");
    }

    #[test]
    fn a_refused_change_of_the_bias_counts_the_logit_it_joins() {
        // The query stands at position 1: with token 0 it has logit 0.6e70 and one step of bias.
        let far = Head::new(array![[0.6e70]], array![[1.0], [0.0]], array![[1.0], [1.0]]).unwrap();
        assert!(far.clone().with_alibi(0.3e70).is_ok());
        assert!(far.with_alibi(0.5e70).is_err());
    }

    #[test]
    fn a_prefix_is_the_problem_of_an_earlier_time() {
        let earlier = head().with_sink(1.0).unwrap().prefix(2).unwrap();
        assert_eq!(earlier.query(), array![[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(earlier.value(), array![[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(
            (earlier.kv_len(), earlier.key().nrows(), earlier.sink()),
            (2, 2, Some(1.0))
        );
        assert_eq!(head().prefix(1), None);
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
