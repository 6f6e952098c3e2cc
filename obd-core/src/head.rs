//! One query head's attention problem, checked once at the door.

use ndarray::{Array1, Array2};

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
    /// [`ProblemError`] where an axis is empty, two axes disagree, or an element is NaN or infinite.
    pub fn new(query: Array2<f64>, key: Array2<f64>, value: Array2<f64>) -> Result<Self, ProblemError> {
        check_tensor("query", ["query_len", "head_dim"], &query)?;
        check_tensor("key", ["kv_len", "head_dim"], &key)?;
        check_tensor("value", ["kv_len", "value_dim"], &value)?;
        check_axis("key", "head_dim", key.ncols(), query.ncols(), "head_dim of query")?;
        check_axis("value", "kv_len", value.nrows(), key.nrows(), "kv_len of key")?;
        Ok(Self {
            scale: 1.0 / (query.ncols() as f64).sqrt(),
            softcap: None,
            sink: None,
            alibi_slope: 0.0,
            visibility: Visibility::all(query.nrows(), key.nrows()).causal(),
            query,
            key,
            value,
        })
    }

    /// The same head with another scale.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `scale` is finite and above 0.
    pub fn with_scale(mut self, scale: f64) -> Result<Self, ProblemError> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(ProblemError::Parameter {
                parameter: "scale",
                value: scale,
                expected: "a finite number above 0",
            });
        }
        self.scale = scale;
        Ok(self)
    }

    /// The same head with a soft-cap on its logits.
    pub fn with_softcap(mut self, softcap: Softcap) -> Self {
        self.softcap = Some(softcap);
        self
    }

    /// The same head with a sink: a logit that joins the softmax denominator and has no value.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `sink` is finite.
    pub fn with_sink(mut self, sink: f64) -> Result<Self, ProblemError> {
        check_parameter("sink", sink)?;
        self.sink = Some(sink);
        Ok(self)
    }

    /// The same head with the ALiBi bias `-slope · |position of query - token|`.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `slope` is finite.
    pub fn with_alibi(mut self, slope: f64) -> Result<Self, ProblemError> {
        check_parameter("alibi_slope", slope)?;
        self.alibi_slope = slope;
        Ok(self)
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

    /// The same head with the key of `token` replaced, shape (head_dim).
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not head_dim.
    pub fn replace_key(mut self, token: usize, key: Array1<S>) -> Result<Self, ProblemError> {
        replace_row("key", "head_dim", &mut self.key, token, key)?;
        Ok(self)
    }

    /// The same head with the value of `token` replaced, shape (value_dim).
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not value_dim.
    pub fn replace_value(mut self, token: usize, value: Array1<S>) -> Result<Self, ProblemError> {
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
    match elements.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(ProblemError::NotFinite {
            tensor,
            row,
            column,
            value,
        }),
        None => Ok(()),
    }
}

fn check_axis(
    tensor: &'static str,
    axis: &'static str,
    found: usize,
    expected: usize,
    reason: &'static str,
) -> Result<(), ProblemError> {
    if found == expected {
        return Ok(());
    }
    Err(ProblemError::Axis {
        tensor,
        axis,
        found,
        expected,
        reason,
    })
}

fn check_parameter(parameter: &'static str, value: f64) -> Result<(), ProblemError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ProblemError::Parameter {
        parameter,
        value,
        expected: "a finite number",
    })
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
