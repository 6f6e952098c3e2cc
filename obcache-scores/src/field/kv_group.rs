//! One KV head with the query heads that read it: what a score of the field may look at.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use obd_core::{AttentionTrace, GroupReduction, Head, ProblemError, check_axis};

use super::Missing;
use super::Rope;

/// The query heads of one KV head with their traces, and what else of the layer is known.
///
/// | part | shape | needed by |
/// |---|---|---|
/// | keys, values | (kv_len, head_dim), (kv_len, value_dim) | all heads hold the same |
/// | query and trace of each head | (query_len, head_dim) | scores that look at attention |
/// | projections, each head's columns of W_O | (hidden, value_dim) | CriticalKV |
/// | rotary encoding | | ExpectedAttention, leverage |
#[derive(Debug, Clone, PartialEq)]
pub struct KvGroup {
    heads: Vec<(Head, AttentionTrace)>,
    projections: Option<Vec<Array2<f64>>>,
    rope: Option<Rope>,
}

impl KvGroup {
    /// Joins the query heads of one KV head, each with its trace.
    ///
    /// # Errors
    /// [`ProblemError`] where there is no head, two heads differ in shape, keys or values, or a trace has not its head's
    /// shape.
    pub fn new(heads: Vec<(Head, AttentionTrace)>) -> Result<Self, ProblemError> {
        let Some((first, _)) = heads.first() else {
            return Err(ProblemError::Empty {
                tensor: "query",
                axis: "group_size",
            });
        };
        for (head, trace) in &heads {
            let pairs = (head.query_len(), head.kv_len());
            check_axis(
                "query",
                "query_len",
                head.query_len(),
                first.query_len(),
                "the group's first head",
            )?;
            check_axis("weights", "query_len", trace.weights.nrows(), pairs.0, "query")?;
            check_axis("weights", "kv_len", trace.weights.ncols(), pairs.1, "key")?;
            check_axis("output", "value_dim", trace.output.ncols(), head.value_dim(), "value")?;
            check_same("key", head.key(), first.key())?;
            check_same("value", head.value(), first.value())?;
        }
        Ok(Self {
            heads,
            projections: None,
            rope: None,
        })
    }

    /// Adds each head's columns of the output projection, shape (hidden, value_dim) each.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is not one a head, or the columns are not the values' channels.
    pub fn with_projections(mut self, projections: Vec<Array2<f64>>) -> Result<Self, ProblemError> {
        check_axis(
            "o_proj",
            "group_size",
            projections.len(),
            self.heads.len(),
            "query heads",
        )?;
        for projection in &projections {
            check_axis("o_proj", "value_dim", projection.ncols(), self.value().ncols(), "value")?;
        }
        self.projections = Some(projections);
        Ok(self)
    }

    /// Adds the rotary encoding that queries and keys carry; token j stands at position j, and the last query at the last
    /// token's.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where it is of another head_dim.
    pub fn with_rope(mut self, rope: Rope) -> Result<Self, ProblemError> {
        check_axis("rope", "head_dim", rope.head_dim(), self.key().ncols(), "key")?;
        self.rope = Some(rope);
        Ok(self)
    }

    /// The query heads and their traces.
    pub fn heads(&self) -> &[(Head, AttentionTrace)] {
        &self.heads
    }

    /// Keys, shape (kv_len, head_dim).
    pub fn key(&self) -> &Array2<f64> {
        self.heads[0].0.key()
    }

    /// Values, shape (kv_len, value_dim).
    pub fn value(&self) -> &Array2<f64> {
        self.heads[0].0.value()
    }

    /// Cached tokens.
    pub fn kv_len(&self) -> usize {
        self.heads[0].0.kv_len()
    }

    /// Queries of each head.
    pub fn query_len(&self) -> usize {
        self.heads[0].0.query_len()
    }

    /// Columns of W_O per head, shape (hidden, value_dim) each.
    ///
    /// # Errors
    /// [`Missing::OutputProjection`] where they are not known.
    pub fn projections(&self) -> Result<&[Array2<f64>], Missing> {
        self.projections.as_deref().ok_or(Missing::OutputProjection)
    }

    /// The rotary encoding.
    ///
    /// # Errors
    /// [`Missing::Rope`] where it is not known.
    pub fn rope(&self) -> Result<&Rope, Missing> {
        self.rope.as_ref().ok_or(Missing::Rope)
    }

    /// Queries of every head before their rotation, shape (query_len, head_dim) each.
    ///
    /// # Errors
    /// [`Missing::Rope`], or [`Missing::Positions`] where there are more queries than tokens.
    pub fn queries_before_rope(&self) -> Result<Vec<Array2<f64>>, Missing> {
        let rope = self.rope()?;
        let first = self.kv_len().checked_sub(self.query_len()).ok_or(Missing::Positions)?;
        let undone = self.heads.iter().map(|(head, _)| rope.undo(head.query().view(), first));
        Ok(undone.collect())
    }

    /// Keys before their rotation, shape (kv_len, head_dim).
    ///
    /// # Errors
    /// [`Missing::Rope`].
    pub fn key_before_rope(&self) -> Result<Array2<f64>, Missing> {
        Ok(self.rope()?.undo(self.key().view(), 0))
    }

    /// Mean over the heads of a saliency of each, shape (kv_len).
    pub(super) fn mean(&self, saliency: impl Fn(&Head, &AttentionTrace) -> Array1<f64>) -> Array1<f64> {
        let saliencies: Vec<_> = self.heads.iter().map(|(head, trace)| saliency(head, trace)).collect();
        let mean = GroupReduction::Mean.reduce(&saliencies);
        mean.expect("a group has a head, and its heads the same tokens")
    }
}

fn check_same(tensor: &'static str, found: &Array2<f64>, expected: &Array2<f64>) -> Result<(), ProblemError> {
    check_axis(
        tensor,
        "kv_len",
        found.nrows(),
        expected.nrows(),
        "the group's first head",
    )?;
    check_axis(
        tensor,
        "channels",
        found.ncols(),
        expected.ncols(),
        "the group's first head",
    )?;
    let differs = found
        .iter()
        .zip(expected)
        .position(|(found, expected)| found != expected);
    match differs {
        Some(place) => Err(ProblemError::Parameter {
            parameter: if tensor == "key" {
                "an element of key"
            } else {
                "an element of value"
            },
            value: found[[place / found.ncols(), place % found.ncols()]],
            expected: "what the group's first head holds: the heads of a group read one KV head",
        }),
        None => Ok(()),
    }
}

/// Euclidean norm of every row, shape (rows).
pub(super) fn norms(rows: ArrayView2<f64>) -> Array1<f64> {
    rows.map_axis(Axis(1), |row| row.iter().map(|x| x * x).sum::<f64>().sqrt())
}

/// The last rows of a matrix, at most all of them.
pub(super) fn last_rows(rows: &Array2<f64>, count: usize) -> ArrayView2<'_, f64> {
    rows.slice(s![rows.nrows().saturating_sub(count).., ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use ndarray::array;

    fn attended(head: Head) -> (Head, AttentionTrace) {
        let trace = trace(&head);
        (head, trace)
    }

    #[test]
    fn heads_must_read_one_kv_head() {
        assert!(KvGroup::new(Vec::new()).is_err());
        assert!(KvGroup::new(vec![attended(logs()), attended(logs())]).is_ok());
        let other = Head::new(logs().query().clone(), logs().key() + 1.0, logs().value().clone()).unwrap();
        let refused = KvGroup::new(vec![attended(logs()), attended(other)]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "an element of key is 1, expected what the group's first head holds: the heads of a group read one KV head"
        );
        let two = |third: f64| {
            let key = array![[1.0, 2.0], [third, 4.0]];
            attended(Head::new(array![[0.0, 0.0]], key, array![[1.0], [1.0]]).unwrap())
        };
        let refused = KvGroup::new(vec![two(3.0), two(7.0)]).unwrap_err();
        assert!(refused.to_string().starts_with("an element of key is 7"), "{refused}");
        assert!(KvGroup::new(vec![attended(logs()), attended(two_queries())]).is_err());
        assert!(KvGroup::new(vec![(logs(), trace(&two_queries()))]).is_err());
    }

    #[test]
    fn what_is_not_known_is_told() {
        let group = KvGroup::new(vec![attended(logs())]).unwrap();
        assert_eq!(group.projections(), Err(Missing::OutputProjection));
        assert_eq!(group.key_before_rope(), Err(Missing::Rope));
        assert!(group.clone().with_rope(Rope::new(1e4, 2).unwrap()).is_err());
        assert!(group.clone().with_projections(vec![]).is_err());
        assert!(group.clone().with_projections(vec![array![[1.0, 2.0]]]).is_err());
        assert!(group.with_projections(vec![array![[1.0], [2.0]]]).is_ok());
    }

    #[test]
    fn the_last_query_stands_at_the_last_token() {
        let head = Head::new(array![[1.0, 0.0]], array![[1.0, 0.0], [0.0, 1.0]], array![[1.0], [2.0]]).unwrap();
        let rope = Rope::new(1e4, 2).unwrap();
        let group = KvGroup::new(vec![attended(head.clone())]).unwrap();
        let group = group.with_rope(rope.clone()).unwrap();
        assert_eq!(
            group.queries_before_rope().unwrap(),
            [rope.undo(head.query().view(), 1)]
        );
        assert_eq!(group.key_before_rope().unwrap(), rope.undo(head.key().view(), 0));
    }

    #[test]
    fn norms_and_last_rows() {
        let rows = array![[3.0, 4.0], [0.0, -2.0], [1.0, 0.0]];
        assert_eq!(norms(rows.view()), array![5.0, 2.0, 1.0]);
        assert_eq!(last_rows(&rows, 2), array![[0.0, -2.0], [1.0, 0.0]]);
        assert_eq!(last_rows(&rows, 9), rows);
    }
}
