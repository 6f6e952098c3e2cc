//! Who sees whom: causal order, sliding window, packed sequences, mask and removal are one predicate.

mod place;

use ndarray::Array2;

use crate::ProblemError;
use crate::check::check_axis;
use place::Place;

/// Which query sees which token.
///
/// Every query and every token has a position, and restrictions compare the two. Alignment is bottom-right: with
/// `query_len < kv_len` the last query sees the last token, so query `i` stands at position `i + kv_len - query_len`.
/// Sequences that are packed one after the other ([`Visibility::packed`]) are each aligned for themselves. A selection
/// keeps the positions that its queries and tokens had. Restrictions compose; each can only hide.
///
/// ```
/// use obd_core::Visibility;
///
/// let visibility = Visibility::all(2, 4).causal().without(&[0]);
/// assert!(!visibility.visible(0, 0)); // removed
/// assert!(visibility.visible(0, 2)); // query 0 stands at position 2
/// assert!(!visibility.visible(0, 3)); // the future
///
/// // Two sequences, the first of one query and two tokens, the second of two queries and two tokens.
/// let packed = Visibility::packed(&[0, 1, 3], &[0, 2, 4]).unwrap().causal();
/// assert!(packed.visible(0, 1) && !packed.visible(0, 2)); // the second sequence
/// assert!(packed.visible(1, 2) && !packed.visible(1, 1)); // the first sequence
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Visibility {
    queries: Vec<Place>,
    tokens: Vec<Place>,
    causal: bool,
    sliding_window: Option<usize>,
    mask: Option<Array2<bool>>,
    removed: Vec<bool>,
}

/// A visibility that needs no mask: for each query the tokens of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// Whether the tokens after a query's own position are hidden.
    pub causal: bool,
    /// How many positions back a query sees, its own included, if not all.
    pub sliding_window: Option<usize>,
}

impl Visibility {
    /// Every query sees every token.
    pub fn all(query_len: usize, kv_len: usize) -> Self {
        let (queries, tokens) = place::sequence(0, 0..query_len, 0..kv_len);
        Self::over(queries.collect(), tokens.collect())
    }

    /// Several sequences packed one after the other, none of which sees another: each query sees the tokens of its own.
    ///
    /// Sequence `b` has the queries `query_bounds[b]..query_bounds[b + 1]` and the tokens `kv_bounds[b]..kv_bounds[b + 1]`
    /// (cumulative lengths); either may be empty.
    ///
    /// # Errors
    /// [`ProblemError::Segments`] where bounds do not rise from 0, or there are not as many for queries as for tokens.
    pub fn packed(query_bounds: &[usize], kv_bounds: &[usize]) -> Result<Self, ProblemError> {
        let (queries, tokens) = place::packed(query_bounds, kv_bounds)?;
        Ok(Self::over(queries, tokens))
    }

    /// Arbitrary visibility, shape (query_len, kv_len), `true` where the query sees the token.
    pub fn from_mask(mask: Array2<bool>) -> Self {
        let (query_len, kv_len) = mask.dim();
        Self {
            mask: Some(mask),
            ..Self::all(query_len, kv_len)
        }
    }

    fn over(queries: Vec<Place>, tokens: Vec<Place>) -> Self {
        Self {
            causal: false,
            sliding_window: None,
            mask: None,
            removed: vec![false; tokens.len()],
            queries,
            tokens,
        }
    }

    /// Hides from each query the tokens after its own position.
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Hides from each query the tokens `window` or more positions before it: with `window = 1` only its own is left.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] where `window` is 0.
    pub fn sliding_window(mut self, window: usize) -> Result<Self, ProblemError> {
        if window == 0 {
            return Err(ProblemError::Parameter {
                parameter: "sliding_window",
                value: 0.0,
                expected: "at least 1 token",
            });
        }
        self.sliding_window = Some(window);
        Ok(self)
    }

    /// Hides every pair that `mask`, shape (query_len, kv_len), has as `false`.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where the mask has another shape.
    pub fn masked(mut self, mask: Array2<bool>) -> Result<Self, ProblemError> {
        let reason = "the visibility that it restricts";
        check_axis("mask", "query_len", mask.nrows(), self.query_len(), reason)?;
        check_axis("mask", "kv_len", mask.ncols(), self.kv_len(), reason)?;
        self.mask = Some(match self.mask {
            Some(earlier) => earlier & mask,
            None => mask,
        });
        Ok(self)
    }

    /// Hides `tokens` from every query. Indices past the end are ignored.
    pub fn without(mut self, tokens: &[usize]) -> Self {
        for &token in tokens {
            if let Some(removed) = self.removed.get_mut(token) {
                *removed = true;
            }
        }
        self
    }

    /// Visibility between these queries and these tokens alone, in this order; each keeps its position.
    ///
    /// # Errors
    /// [`ProblemError::Selection`] where there is no such query or token.
    pub fn select(&self, queries: &[usize], tokens: &[usize]) -> Result<Self, ProblemError> {
        check_selection("query_len", queries, self.query_len())?;
        check_selection("kv_len", tokens, self.kv_len())?;
        let selected = |(i, j): (usize, usize), mask: &Array2<bool>| mask[[queries[i], tokens[j]]];
        let shape = (queries.len(), tokens.len());
        Ok(Self {
            queries: queries.iter().map(|&query| self.queries[query]).collect(),
            tokens: tokens.iter().map(|&token| self.tokens[token]).collect(),
            mask: (self.mask.as_ref()).map(|mask| Array2::from_shape_fn(shape, |pair| selected(pair, mask))),
            removed: tokens.iter().map(|&token| self.removed[token]).collect(),
            ..*self
        })
    }

    /// The queries that stand before `token`; all where there is no such token.
    pub(crate) fn queries_before(&self, token: usize) -> Vec<usize> {
        let first = self.tokens.get(token);
        let stands_before = |query: &usize| first.is_none_or(|first| self.queries[*query].position < first.position);
        (0..self.query_len()).filter(stands_before).collect()
    }

    /// Causal order and sliding window, where nothing else restricts: `None` with a mask, a removed token, several
    /// sequences or a selection whose positions have gaps.
    pub fn band(&self) -> Option<Band> {
        let plain = self.mask.is_none() && !self.removed.contains(&true) && self.is_aligned();
        plain.then_some(Band {
            causal: self.causal,
            sliding_window: self.sliding_window,
        })
    }

    /// Whether positions follow one another in one sequence, the last query standing at the last token.
    fn is_aligned(&self) -> bool {
        place::follow(&self.queries) && place::follow(&self.tokens) && self.queries.last() == self.tokens.last()
    }

    /// Number of queries.
    pub fn query_len(&self) -> usize {
        self.queries.len()
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.tokens.len()
    }

    /// Positions between `query` and `token`, whichever comes first.
    ///
    /// # Panics
    /// Where there is no such query or token.
    pub fn distance(&self, query: usize, token: usize) -> usize {
        self.queries[query].position.abs_diff(self.tokens[token].position)
    }

    /// The largest distance between a query and a token; 0 where there is no pair.
    pub(crate) fn largest_distance(&self) -> usize {
        match (place::ends(&self.queries), place::ends(&self.tokens)) {
            (Some(queries), Some(tokens)) => queries.0.abs_diff(tokens.1).max(queries.1.abs_diff(tokens.0)),
            _ => 0,
        }
    }

    /// Whether `query` sees `token`; `false` outside the shape.
    pub fn visible(&self, query: usize, token: usize) -> bool {
        let (Some(at), Some(seen)) = (self.queries.get(query), self.tokens.get(token)) else {
            return false;
        };
        let age = at.position - seen.position;
        at.segment == seen.segment
            && !self.removed[token]
            && (!self.causal || age >= 0)
            && self.sliding_window.is_none_or(|window| (age.max(0) as usize) < window)
            && self.mask.as_ref().is_none_or(|mask| mask[[query, token]])
    }
}

fn check_selection(axis: &'static str, selected: &[usize], length: usize) -> Result<(), ProblemError> {
    match selected.iter().find(|&&index| index >= length) {
        Some(&index) => Err(ProblemError::Selection { axis, index, length }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn table(visibility: &Visibility) -> Array2<u8> {
        Array2::from_shape_fn((visibility.query_len(), visibility.kv_len()), |(i, j)| {
            visibility.visible(i, j) as u8
        })
    }

    #[test]
    fn causal_is_aligned_bottom_right() {
        let seen = table(&Visibility::all(2, 4).causal());
        assert_eq!(seen, array![[1, 1, 1, 0], [1, 1, 1, 1]]);
    }

    #[test]
    fn more_queries_than_tokens_leaves_the_first_queries_blind() {
        let seen = table(&Visibility::all(3, 2).causal());
        assert_eq!(seen, array![[0, 0], [1, 0], [1, 1]]);
        assert_eq!(Visibility::all(3, 2).distance(0, 1), 2);
    }

    #[test]
    fn a_window_of_two_sees_itself_and_its_predecessor() {
        let visibility = Visibility::all(3, 3).causal().sliding_window(2).unwrap();
        assert_eq!(table(&visibility), array![[1, 0, 0], [1, 1, 0], [0, 1, 1]]);
        // A window alone hides nothing that is to come.
        let ahead = Visibility::all(2, 2).sliding_window(1).unwrap();
        assert_eq!(table(&ahead), array![[1, 1], [0, 1]]);
        assert!(Visibility::all(1, 1).sliding_window(0).is_err());
    }

    #[test]
    fn mask_and_removal_compose() {
        let visibility = Visibility::from_mask(array![[true, false, true], [true, true, true]]).without(&[2, 9]);
        assert_eq!(table(&visibility), array![[1, 0, 0], [1, 1, 0]]);
    }

    #[test]
    fn masks_compose_and_must_fit() {
        let diagonal = array![[true, false], [false, true]];
        let first = array![[true, true], [false, false]];
        let both = Visibility::from_mask(diagonal).masked(first).unwrap();
        assert_eq!(table(&both), array![[1, 0], [0, 0]]);
        let error = Visibility::all(2, 3).masked(array![[true, true, true]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mask: query_len is 1, expected 2 (the visibility that it restricts)"
        );
    }

    #[test]
    fn packed_sequences_do_not_see_each_other_and_are_aligned_for_themselves() {
        // One query and two tokens; no query and one token; two queries and two tokens; one query and no token.
        let packed = Visibility::packed(&[0, 1, 1, 3, 4], &[0, 2, 3, 5, 5]).unwrap();
        assert_eq!((packed.query_len(), packed.kv_len()), (4, 5));
        assert_eq!(
            table(&packed),
            array![[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
        );
        let causal = packed.clone().causal();
        assert_eq!(
            table(&causal),
            array![[1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
        );
        let window = causal.sliding_window(1).unwrap().without(&[3]);
        assert_eq!(
            table(&window),
            array![[0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
        );
        // Within a sequence distances count from its own end.
        assert_eq!(
            [packed.distance(0, 0), packed.distance(1, 4), packed.distance(2, 4)],
            [1, 1, 0]
        );
    }

    #[test]
    fn one_packed_sequence_is_a_plain_one() {
        assert_eq!(Visibility::packed(&[0, 2], &[0, 3]), Ok(Visibility::all(2, 3)));
    }

    #[test]
    fn a_selection_keeps_what_its_pairs_were() {
        let packed = Visibility::packed(&[0, 1, 3], &[0, 2, 4]).unwrap();
        let mask = Array2::from_shape_fn((3, 4), |(i, j)| (i + j) % 3 != 1);
        for whole in [
            Visibility::all(3, 4).causal(),
            Visibility::all(3, 4).causal().sliding_window(2).unwrap().without(&[1]),
            Visibility::all(4, 4)
                .select(&[1, 2, 3], &[0, 1, 2, 3])
                .unwrap()
                .causal(),
            packed.causal().masked(mask).unwrap(),
        ] {
            let (queries, tokens) = ([2, 0, 2], [3, 1]);
            let selected = whole.select(&queries, &tokens).unwrap();
            assert_eq!((selected.query_len(), selected.kv_len()), (3, 2));
            for (i, j) in (0..3).flat_map(|i| [(i, 0), (i, 1)]) {
                assert_eq!(selected.visible(i, j), whole.visible(queries[i], tokens[j]));
                assert_eq!(selected.distance(i, j), whole.distance(queries[i], tokens[j]));
            }
        }
    }

    #[test]
    fn a_selection_of_what_is_not_there_is_refused_by_name() {
        let refused = |queries: &[usize], tokens: &[usize]| {
            let refused = Visibility::all(2, 3).select(queries, tokens);
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            refused(&[0, 2], &[0]),
            "selection: query_len is 2, so there is no index 2"
        );
        assert_eq!(refused(&[0], &[5]), "selection: kv_len is 3, so there is no index 5");
    }

    #[test]
    fn a_window_of_any_length_is_a_window() {
        let wide = Visibility::all(2, 2).causal().sliding_window(usize::MAX).unwrap();
        assert_eq!(table(&wide), array![[1, 0], [1, 1]]);
    }

    #[test]
    fn a_band_has_neither_mask_nor_gaps() {
        let band = |causal, sliding_window| Some(Band { causal, sliding_window });
        assert_eq!(Visibility::all(2, 3).band(), band(false, None));
        let window = Visibility::all(2, 3).causal().sliding_window(2).unwrap();
        assert_eq!(window.band(), band(true, Some(2)));
        assert_eq!(window.without(&[1]).band(), None);
        assert_eq!(Visibility::from_mask(array![[true]]).band(), None);
        assert_eq!(Visibility::packed(&[0, 1, 2], &[0, 1, 2]).unwrap().band(), None);
        let causal = Visibility::all(3, 4).causal();
        // The second query stands at token 2 and may see what comes before it; without token 1 there is a gap.
        assert_eq!(causal.select(&[1], &[0, 1, 2]).unwrap().band(), band(true, None));
        assert_eq!(causal.select(&[1], &[0, 2]).unwrap().band(), None);
        assert_eq!(causal.select(&[1], &[0, 1, 2, 3]).unwrap().band(), None);
        assert_eq!(causal.select(&[0, 2], &[0, 1, 2, 3]).unwrap().band(), None);
    }

    #[test]
    fn nothing_is_visible_outside_the_shape() {
        let visibility = Visibility::all(2, 3);
        assert!(!visibility.visible(2, 0));
        assert!(!visibility.visible(0, 3));
    }
}
