//! Who sees whom: causal order, sliding window, mask and removal are one predicate.

use ndarray::Array2;

use crate::ProblemError;

/// Which query sees which token.
///
/// Alignment is bottom-right: with `query_len < kv_len` the last query sees the last token, so query `i`
/// stands at position `i + kv_len - query_len`. Restrictions compose; each can only hide.
///
/// ```
/// use obd_core::Visibility;
///
/// let visibility = Visibility::all(2, 4).causal().without(&[0]);
/// assert!(!visibility.visible(0, 0)); // removed
/// assert!(visibility.visible(0, 2)); // query 0 stands at position 2
/// assert!(!visibility.visible(0, 3)); // the future
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Visibility {
    query_len: usize,
    kv_len: usize,
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
        Self {
            query_len,
            kv_len,
            causal: false,
            sliding_window: None,
            mask: None,
            removed: vec![false; kv_len],
        }
    }

    /// Arbitrary visibility, shape (query_len, kv_len), `true` where the query sees the token.
    pub fn from_mask(mask: Array2<bool>) -> Self {
        let (query_len, kv_len) = mask.dim();
        Self {
            mask: Some(mask),
            ..Self::all(query_len, kv_len)
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

    /// Hides `tokens` from every query. Indices past the end are ignored.
    pub fn without(mut self, tokens: &[usize]) -> Self {
        for &token in tokens {
            if let Some(removed) = self.removed.get_mut(token) {
                *removed = true;
            }
        }
        self
    }

    /// Visibility as it stood when only the first `tokens` were cached, over the queries that stood among them.
    ///
    /// `None` where no token or no query is left, or where there are not so many tokens.
    pub fn prefix(&self, tokens: usize) -> Option<Self> {
        let later = self.kv_len.checked_sub(tokens)?;
        let query_len = self
            .query_len
            .checked_sub(later)
            .filter(|&queries| queries > 0 && tokens > 0)?;
        let mask = self
            .mask
            .as_ref()
            .map(|mask| mask.slice(ndarray::s![..query_len, ..tokens]).to_owned());
        Some(Self {
            query_len,
            kv_len: tokens,
            mask,
            removed: self.removed[..tokens].to_vec(),
            ..self.clone()
        })
    }

    /// Causal order and sliding window, where nothing else restricts: `None` with a mask or a removed token.
    pub fn band(&self) -> Option<Band> {
        let plain = self.mask.is_none() && !self.removed.contains(&true);
        plain.then_some(Band {
            causal: self.causal,
            sliding_window: self.sliding_window,
        })
    }

    /// Number of queries.
    pub fn query_len(&self) -> usize {
        self.query_len
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.kv_len
    }

    /// Position of `query` counted in tokens; negative where there are more queries than tokens.
    pub fn position(&self, query: usize) -> isize {
        query as isize + self.kv_len as isize - self.query_len as isize
    }

    /// Whether `query` sees `token`; `false` outside the shape.
    pub fn visible(&self, query: usize, token: usize) -> bool {
        if query >= self.query_len || token >= self.kv_len || self.removed[token] {
            return false;
        }
        let age = self.position(query) - token as isize;
        (!self.causal || age >= 0)
            && self.sliding_window.is_none_or(|window| age < window as isize)
            && self.mask.as_ref().is_none_or(|mask| mask[[query, token]])
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
        assert_eq!(Visibility::all(3, 2).position(0), -1);
    }

    #[test]
    fn a_window_of_two_sees_itself_and_its_predecessor() {
        let visibility = Visibility::all(3, 3).causal().sliding_window(2).unwrap();
        assert_eq!(table(&visibility), array![[1, 0, 0], [1, 1, 0], [0, 1, 1]]);
        assert!(Visibility::all(1, 1).sliding_window(0).is_err());
    }

    #[test]
    fn mask_and_removal_compose() {
        let visibility = Visibility::from_mask(array![[true, false, true], [true, true, true]]).without(&[2, 9]);
        assert_eq!(table(&visibility), array![[1, 0, 0], [1, 1, 0]]);
    }

    #[test]
    fn a_prefix_keeps_the_alignment() {
        let mask = Visibility::from_mask(array![[true, false, true], [true, true, true]]).without(&[0]);
        assert_eq!(table(&mask.prefix(2).unwrap()), array![[0, 0]]);
        assert_eq!(
            mask.prefix(2),
            Some(Visibility::from_mask(array![[true, false]]).without(&[0]))
        );
        let causal = Visibility::all(3, 4).causal().prefix(3).unwrap();
        assert_eq!(table(&causal), array![[1, 1, 0], [1, 1, 1]]);
        assert_eq!(Visibility::all(3, 4).prefix(4), Some(Visibility::all(3, 4)));
        assert_eq!(Visibility::all(3, 4).prefix(1), None);
        assert_eq!(Visibility::all(4, 4).prefix(0), None);
        assert_eq!(Visibility::all(9, 4).prefix(0), None);
        assert_eq!(Visibility::all(4, 4).prefix(5), None);
    }

    #[test]
    fn a_band_has_neither_mask_nor_holes() {
        let band = |causal, sliding_window| Some(Band { causal, sliding_window });
        assert_eq!(Visibility::all(2, 3).band(), band(false, None));
        let window = Visibility::all(2, 3).causal().sliding_window(2).unwrap();
        assert_eq!(window.band(), band(true, Some(2)));
        assert_eq!(window.without(&[1]).band(), None);
        assert_eq!(Visibility::from_mask(array![[true]]).band(), None);
    }

    #[test]
    fn nothing_is_visible_outside_the_shape() {
        let visibility = Visibility::all(2, 3);
        assert!(!visibility.visible(2, 0));
        assert!(!visibility.visible(0, 3));
    }
}
