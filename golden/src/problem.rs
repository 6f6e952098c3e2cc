//! A whole attention problem, of possibly many heads.

use ndarray::Array3;
use obd_core::{Head, HeadGroups, ProblemError, Softcap, grouped_heads};

use crate::Mask;

/// What a kernel is given: the numbers as they were stored, widened to f64.
///
/// | field | shape |
/// |---|---|
/// | `query` | (num_query_heads, query_len, head_dim) |
/// | `key` | (num_kv_heads, kv_len, head_dim) |
/// | `value` | (num_kv_heads, kv_len, value_dim) |
/// | `sinks` | (num_query_heads) |
///
/// Query head h reads KV head `h / (num_query_heads / num_kv_heads)`. The softmax input of a visible pair is
/// `z = scale · q·k`, or `softcap · tanh(z / softcap)`. A query head's sink logit joins the softmax denominator as it
/// is and has no value. Every problem that a [`Suite`](crate::Suite) hands out has passed [`AttentionProblem::heads`].
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionProblem {
    /// Queries.
    pub query: Array3<f64>,
    /// Keys.
    pub key: Array3<f64>,
    /// Values.
    pub value: Array3<f64>,
    /// Factor on the dot product, exact as an f64.
    pub scale: f64,
    /// Who sees whom.
    pub mask: Mask,
    /// Bound of the logit soft-cap, applied before the mask.
    pub softcap: Option<f64>,
    /// One sink logit per query head.
    pub sinks: Option<Vec<f64>>,
}

impl AttentionProblem {
    /// Number of query heads.
    pub fn num_query_heads(&self) -> usize {
        self.query.dim().0
    }

    /// Number of KV heads.
    pub fn num_kv_heads(&self) -> usize {
        self.key.dim().0
    }

    /// Query heads that read one KV head, rounded down; at least 1.
    pub fn group_size(&self) -> usize {
        (self.num_query_heads() / self.num_kv_heads().max(1)).max(1)
    }

    /// Number of queries per head.
    pub fn query_len(&self) -> usize {
        self.query.dim().1
    }

    /// Number of tokens per head.
    pub fn kv_len(&self) -> usize {
        self.key.dim().1
    }

    /// Channels of a query and of a key.
    pub fn head_dim(&self) -> usize {
        self.query.dim().2
    }

    /// Channels of a value.
    pub fn value_dim(&self) -> usize {
        self.value.dim().2
    }

    /// Whether `query` sees `token`.
    pub fn visible(&self, query: usize, token: usize) -> bool {
        self.mask.visible((self.query_len(), self.kv_len()), query, token)
    }

    /// How query heads share KV heads.
    ///
    /// # Errors
    /// [`ProblemError::HeadCounts`] unless the first are a positive multiple of the second.
    pub fn groups(&self) -> Result<HeadGroups, ProblemError> {
        HeadGroups::new(self.num_query_heads(), self.num_kv_heads())
    }

    /// One checked single-head problem per query head.
    ///
    /// # Errors
    /// [`ProblemError`] where tensors disagree, an element is not finite, or a parameter is outside its domain.
    pub fn heads(&self) -> Result<Vec<Head>, ProblemError> {
        let visibility = self.mask.visibility(self.query_len(), self.kv_len())?;
        let softcap = self.softcap.map(Softcap::new).transpose()?;
        let mut heads = Vec::new();
        for (h, head) in grouped_heads(&self.query, &self.key, &self.value)?
            .into_iter()
            .enumerate()
        {
            let mut head = head.with_scale(self.scale)?.with_visibility(visibility.clone())?;
            if let Some(softcap) = softcap {
                head = head.with_softcap(softcap);
            }
            if let Some(sinks) = &self.sinks {
                head = head.with_sink(self.sink_of(sinks, h)?)?;
            }
            heads.push(head);
        }
        Ok(heads)
    }

    fn sink_of(&self, sinks: &[f64], head: usize) -> Result<f64, ProblemError> {
        if sinks.len() != self.num_query_heads() {
            return Err(ProblemError::Axis {
                tensor: "sink",
                axis: "num_query_heads",
                found: sinks.len(),
                expected: self.num_query_heads(),
                reason: "num_query_heads of query",
            });
        }
        Ok(sinks[head])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> AttentionProblem {
        AttentionProblem {
            query: Array3::from_shape_fn((4, 1, 2), |(h, _, c)| (h + c) as f64),
            key: Array3::ones((2, 3, 2)),
            value: Array3::from_shape_fn((2, 3, 1), |(h, j, _)| (10 * h + j) as f64),
            scale: 0.5,
            mask: Mask::causal(),
            softcap: Some(3.0),
            sinks: Some(vec![0.0, 1.0, 2.0, 3.0]),
        }
    }

    #[test]
    fn every_head_has_its_part() {
        let heads = problem().heads().unwrap();
        assert_eq!(heads.len(), 4);
        assert_eq!((heads[2].value()[[0, 0]], heads[2].sink()), (10.0, Some(2.0)));
        assert_eq!(heads[3].softcap().map(Softcap::cap), Some(3.0));
        assert_eq!((problem().group_size(), heads[0].scale()), (2, 0.5));
    }

    #[test]
    fn a_sink_is_missed_by_name() {
        let short = AttentionProblem {
            sinks: Some(vec![0.0]),
            ..problem()
        };
        assert_eq!(
            short.heads().unwrap_err().to_string(),
            "sink: num_query_heads is 1, expected 4 (num_query_heads of query)"
        );
    }
}
