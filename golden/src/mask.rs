//! Who sees whom in a case.

use ndarray::Array2;
use obd_core::{ProblemError, Visibility, check_axis};
use serde::{Deserialize, Serialize};

/// Which query sees which token; the restrictions compose, and each can only hide. The same for all heads.
///
/// Causal order and sliding window count positions from the end (bottom-right): the last query stands at the last
/// token, so query `i` stands at position `i + kv_len - query_len`. With segments each segment is aligned for itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mask {
    /// Whether a query sees no token after its own position.
    pub causal: bool,
    /// A query sees its own position and the `window - 1` before it.
    pub sliding_window: Option<usize>,
    /// Arbitrary visibility, shape (query_len, kv_len), `true` where the query sees the token.
    pub explicit: Option<Array2<bool>>,
    /// Several sequences packed one after the other, none of which sees another.
    pub segments: Option<Segments>,
}

/// Where the sequences of a packed batch begin and end: cumulative lengths, from 0 to the whole length.
///
/// Sequence `b` has the queries `query[b]..query[b + 1]` and the tokens `kv[b]..kv[b + 1]`; either may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Segments {
    /// Cumulative query lengths.
    pub query: Vec<usize>,
    /// Cumulative token counts, as many as of the queries.
    pub kv: Vec<usize>,
}

impl Segments {
    /// The sequence that `query` and `token` both belong to, as (first query, end, first token, end).
    pub(crate) fn shared(&self, query: usize, token: usize) -> Option<[usize; 4]> {
        let bounds = self.query.windows(2).zip(self.kv.windows(2));
        bounds
            .map(|(queries, tokens)| [queries[0], queries[1], tokens[0], tokens[1]])
            .find(|[q0, q1, k0, k1]| (*q0..*q1).contains(&query) && (*k0..*k1).contains(&token))
    }
}

impl Mask {
    /// Each query sees the tokens up to its own position.
    pub fn causal() -> Self {
        Self {
            causal: true,
            ..Self::default()
        }
    }

    /// Whether `query` of `query_len` sees `token` of `kv_len`; `false` outside the shape, and outside that of an explicit
    /// mask.
    pub fn visible(&self, (query_len, kv_len): (usize, usize), query: usize, token: usize) -> bool {
        let Some([q0, q1, k0, k1]) = self.sequence((query_len, kv_len), query, token) else {
            return false;
        };
        let position = (query - q0) as isize + (k1 - k0) as isize - (q1 - q0) as isize;
        let age = position - (token - k0) as isize;
        (!self.causal || age >= 0)
            && self.sliding_window.is_none_or(|window| age < window as isize)
            && self
                .explicit
                .as_ref()
                .is_none_or(|mask| mask.get([query, token]).copied().unwrap_or(false))
    }

    fn sequence(&self, (query_len, kv_len): (usize, usize), query: usize, token: usize) -> Option<[usize; 4]> {
        if query >= query_len || token >= kv_len {
            return None;
        }
        match &self.segments {
            Some(segments) => segments.shared(query, token),
            None => Some([0, query_len, 0, kv_len]),
        }
    }

    /// The same restrictions as a visibility of shape (query_len, kv_len).
    ///
    /// # Errors
    /// [`ProblemError`] where a window is 0, an explicit mask has another shape, or segments do not span the axes.
    pub fn visibility(&self, query_len: usize, kv_len: usize) -> Result<Visibility, ProblemError> {
        let mut visibility = match &self.segments {
            Some(segments) => Visibility::packed(&segments.query, &segments.kv)?,
            None => Visibility::all(query_len, kv_len),
        };
        let reason = "the shape (query_len, kv_len) of the case";
        check_axis("segments", "query_len", visibility.query_len(), query_len, reason)?;
        check_axis("segments", "kv_len", visibility.kv_len(), kv_len, reason)?;
        if let Some(window) = self.sliding_window {
            visibility = visibility.sliding_window(window)?;
        }
        if let Some(mask) = &self.explicit {
            visibility = visibility.masked(mask.clone())?;
        }
        Ok(if self.causal { visibility.causal() } else { visibility })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn table(mask: &Mask, shape: (usize, usize)) -> Array2<u8> {
        Array2::from_shape_fn(shape, |(i, j)| mask.visible(shape, i, j) as u8)
    }

    #[test]
    fn causal_and_window_are_aligned_bottom_right() {
        assert_eq!(table(&Mask::causal(), (2, 4)), array![[1, 1, 1, 0], [1, 1, 1, 1]]);
        let window = Mask {
            sliding_window: Some(2),
            ..Mask::causal()
        };
        assert_eq!(table(&window, (2, 4)), array![[0, 1, 1, 0], [0, 0, 1, 1]]);
        assert_eq!(table(&Mask::causal(), (3, 2)), array![[0, 0], [1, 0], [1, 1]]);
    }

    #[test]
    fn each_sequence_of_a_batch_is_aligned_for_itself() {
        let packed = Mask {
            segments: Some(Segments {
                query: vec![0, 1, 3],
                kv: vec![0, 2, 4],
            }),
            ..Mask::causal()
        };
        assert_eq!(table(&packed, (3, 4)), array![[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]);
    }

    #[test]
    fn the_visibility_says_the_same() {
        let explicit = Mask {
            explicit: Some(array![[true, false], [false, true]]),
            ..Mask::default()
        };
        let packed = Mask {
            segments: Some(Segments {
                query: vec![0, 0, 2, 3, 6],
                kv: vec![0, 1, 2, 5, 6],
            }),
            explicit: Some(Array2::from_shape_fn((6, 6), |(i, j)| (i + 2 * j) % 5 != 0)),
            ..Mask::default()
        };
        let window = |mask: &Mask| Mask {
            sliding_window: Some(2),
            ..mask.clone()
        };
        let causal = |mask: &Mask| Mask {
            causal: true,
            ..mask.clone()
        };
        let packed = [
            packed.clone(),
            window(&packed),
            causal(&packed),
            causal(&window(&packed)),
        ];
        let square = [Mask::causal(), Mask::default(), explicit, window(&Mask::causal())].map(|mask| (mask, 2));
        for (mask, length) in square.into_iter().chain(packed.map(|mask| (mask, 6))) {
            let visibility = mask.visibility(length, length).unwrap();
            for (i, j) in (0..=length).flat_map(|i| (0..=length).map(move |j| (i, j))) {
                assert_eq!(
                    visibility.visible(i, j),
                    mask.visible((length, length), i, j),
                    "{mask:?} {i} {j}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let misshapen = Mask {
            explicit: Some(array![[true]]),
            ..Mask::default()
        };
        assert!(misshapen.visibility(1, 2).is_err());
        for (query, kv) in [
            (vec![0, 2], vec![0, 1, 2]),
            (vec![0, 1], vec![0, 2]),
            (vec![1, 2], vec![0, 2]),
            (vec![0, 2, 1, 2], vec![0, 0, 1, 2]),
        ] {
            let segments = Some(Segments { query, kv });
            let mask = Mask {
                segments,
                ..Mask::default()
            };
            assert!(mask.visibility(2, 2).is_err());
        }
        let blind = Mask {
            sliding_window: Some(0),
            ..Mask::default()
        };
        assert!(blind.visibility(1, 1).is_err());
    }
}
