//! The heads of one layer: grouped-query attention as a list of single-head problems.

use ndarray::{Array3, Axis};

use crate::check::check_axis;
use crate::{Head, HeadGroups, ProblemError};

/// One [`Head`] per query head of a layer; query head h reads KV head `h / group_size`.
///
/// | tensor | shape |
/// |---|---|
/// | `query` | (num_query_heads, query_len, head_dim) |
/// | `key` | (num_kv_heads, kv_len, head_dim) |
/// | `value` | (num_kv_heads, kv_len, value_dim) |
///
/// Multi-head attention is the case of as many KV heads, multi-query attention that of one. Scale and visibility are
/// those of [`Head::new`].
///
/// # Errors
/// [`ProblemError`] where the query heads are no multiple of the KV heads, keys and values differ in their number of
/// heads, or a head is no problem.
pub fn grouped_heads(query: &Array3<f64>, key: &Array3<f64>, value: &Array3<f64>) -> Result<Vec<Head>, ProblemError> {
    let heads = |tensor: &Array3<f64>| tensor.len_of(Axis(0));
    check_axis("value", "num_kv_heads", heads(value), heads(key), "num_kv_heads of key")?;
    let groups = HeadGroups::new(heads(query), heads(key))?;
    (0..groups.num_query_heads())
        .map(|head| {
            let rows = |tensor: &Array3<f64>, head: usize| tensor.index_axis(Axis(0), head).to_owned();
            let kv_head = groups.kv_head(head);
            Head::new(rows(query, head), rows(key, kv_head), rows(value, kv_head))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of one token and one channel whose element tells its head.
    fn numbered(heads: usize) -> Array3<f64> {
        Array3::from_shape_fn((heads, 1, 1), |(head, _, _)| head as f64)
    }

    #[test]
    fn neighbours_read_the_same_kv_head() {
        let heads = grouped_heads(&numbered(4), &numbered(2), &(numbered(2) + 10.0)).unwrap();
        let read: Vec<[f64; 3]> = heads
            .iter()
            .map(|head| [head.query()[[0, 0]], head.key()[[0, 0]], head.value()[[0, 0]]])
            .collect();
        assert_eq!(
            read,
            [[0.0, 0.0, 10.0], [1.0, 0.0, 10.0], [2.0, 1.0, 11.0], [3.0, 1.0, 11.0]]
        );
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        let refused = grouped_heads(&numbered(3), &numbered(2), &numbered(2));
        assert_eq!(
            refused,
            Err(ProblemError::HeadCounts {
                query_heads: 3,
                kv_heads: 2
            })
        );
        let text = grouped_heads(&numbered(2), &numbered(2), &numbered(1))
            .unwrap_err()
            .to_string();
        assert_eq!(text, "value: num_kv_heads is 1, expected 2 (num_kv_heads of key)");
    }
}
