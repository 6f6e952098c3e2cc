//! Everything about attention that is no tensor.

use crate::limits::check_sink;
use crate::{ProblemError, Softcap, Visibility};

/// How one head attends: scale, soft-cap, sink, bias, and who sees whom.
///
/// ```text
/// softmax input of query i and token j = softcap(scale · q_i·k_j) - alibi_slope · |position of i - position of j|
/// ```
/// A [`Head`](crate::Head) sets it ([`Head::with_scale`](crate::Head::with_scale) and its like) and checks it against its
/// tensors; [`Head::from_parts`](crate::Head::from_parts) lends it to other tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionSpec {
    scale: f64,
    softcap: Option<Softcap>,
    sink: Option<f64>,
    alibi_slope: f64,
    visibility: Visibility,
}

impl AttentionSpec {
    /// Scale `1/sqrt(head_dim)`, no soft-cap, sink or bias.
    pub(super) fn new(head_dim: usize, visibility: Visibility) -> Self {
        Self {
            scale: 1.0 / (head_dim as f64).sqrt(),
            softcap: None,
            sink: None,
            alibi_slope: 0.0,
            visibility,
        }
    }

    pub(super) fn with_scale(self, scale: f64) -> Result<Self, ProblemError> {
        if scale.is_finite() && scale > 0.0 {
            return Ok(Self { scale, ..self });
        }
        Err(ProblemError::Parameter {
            parameter: "scale",
            value: scale,
            expected: "a finite number above 0",
        })
    }

    pub(super) fn with_softcap(self, softcap: Softcap) -> Self {
        Self {
            softcap: Some(softcap),
            ..self
        }
    }

    pub(super) fn with_sink(self, sink: f64) -> Result<Self, ProblemError> {
        check_sink(sink)?;
        Ok(Self {
            sink: Some(sink),
            ..self
        })
    }

    pub(super) fn with_alibi(self, slope: f64) -> Result<Self, ProblemError> {
        if slope.is_finite() {
            return Ok(Self {
                alibi_slope: slope,
                ..self
            });
        }
        Err(ProblemError::Parameter {
            parameter: "alibi_slope",
            value: slope,
            expected: "a finite number",
        })
    }

    pub(super) fn with_visibility(self, visibility: Visibility) -> Self {
        Self { visibility, ..self }
    }

    /// The same attention between these queries and these tokens alone, in this order; each keeps its position.
    ///
    /// # Errors
    /// [`ProblemError::Selection`] where there is no such query or token.
    pub fn select(&self, queries: &[usize], tokens: &[usize]) -> Result<Self, ProblemError> {
        let visibility = self.visibility.select(queries, tokens)?;
        Ok(Self { visibility, ..*self })
    }

    /// Factor on the dot product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Soft-cap on the logits, if any.
    pub fn softcap(&self) -> Option<Softcap> {
        self.softcap
    }

    /// Logit that joins the softmax denominator and has no value, if any.
    pub fn sink(&self) -> Option<f64> {
        self.sink
    }

    /// Slope of the ALiBi bias; 0 without ALiBi.
    pub fn alibi_slope(&self) -> f64 {
        self.alibi_slope
    }

    /// ALiBi bias of a pair, `-alibi_slope · |position of query - position of token|`; 0 without ALiBi.
    ///
    /// # Panics
    /// Where there is no such query or token.
    pub fn bias(&self, query: usize, token: usize) -> f64 {
        -self.alibi_slope * self.visibility.distance(query, token) as f64
    }

    /// The largest magnitude of a bias.
    pub(super) fn largest_bias(&self) -> f64 {
        self.alibi_slope.abs() * self.visibility.largest_distance() as f64
    }

    /// Who sees whom.
    pub fn visibility(&self) -> &Visibility {
        &self.visibility
    }
}
