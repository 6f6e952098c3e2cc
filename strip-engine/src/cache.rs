//! Keys and values of one KV head as a decode step reads them: row after row, checked as they come.

use aligned_vec::{AVec, avec};
use ndarray::{Array2, ArrayView1, ArrayView2};
use obd_core::{ProblemError, SlotsError, check_axis, check_finite, check_slots};

use crate::element::Element;
use crate::lanes::MOST_LANES;
use crate::partial_sums::sum;
use crate::survey::unit;

/// The cached tokens of one KV head.
///
/// It grows by [`Cache::push`] and shrinks by [`Cache::keep`]; what a step needs to know of each value, ‖v‖² and ‖v‖₁, is
/// computed as it comes in.
#[derive(Debug, Clone)]
pub struct Cache<T> {
    head_dim: usize,
    value_dim: usize,
    /// Shape (kv_len, head_dim and the zeros that fill it up).
    keys: AVec<T>,
    /// Shape (kv_len, value_dim and the zeros that fill it up).
    values: AVec<T>,
    /// ‖v‖² and ‖v‖₁, shape (kv_len) each.
    norms: [Vec<f64>; 2],
    /// The largest ‖v‖² that came in.
    largest: f64,
}

impl<T: Element> Cache<T> {
    /// An empty cache.
    ///
    /// # Errors
    /// [`ProblemError::Empty`] where an axis is.
    pub fn new(head_dim: usize, value_dim: usize) -> Result<Self, ProblemError> {
        for (tensor, axis, length) in [("key", "head_dim", head_dim), ("value", "value_dim", value_dim)] {
            if length == 0 {
                return Err(ProblemError::Empty { tensor, axis });
            }
        }
        Ok(Self {
            head_dim,
            value_dim,
            keys: avec![],
            values: avec![],
            norms: [Vec::new(), Vec::new()],
            largest: 0.0,
        })
    }

    /// A cache of these tokens: keys of shape (kv_len, head_dim), values of shape (kv_len, value_dim).
    ///
    /// # Errors
    /// [`ProblemError`] where an axis is empty, the lengths disagree, or an element is NaN or infinite.
    pub fn of(key: ArrayView2<T>, value: ArrayView2<T>) -> Result<Self, ProblemError> {
        check_axis("value", "kv_len", value.nrows(), key.nrows(), "kv_len of key")?;
        let mut cache = Self::new(key.ncols(), value.ncols())?;
        cache.keys.reserve(key.nrows() * width(cache.head_dim));
        cache.values.reserve(key.nrows() * width(cache.value_dim));
        cache.norms.iter_mut().for_each(|norms| norms.reserve(key.nrows()));
        for (key, value) in key.rows().into_iter().zip(value.rows()) {
            cache.push(key, value)?;
        }
        Ok(cache)
    }

    /// One more token: its key of shape (head_dim) and its value of shape (value_dim).
    ///
    /// # Errors
    /// [`ProblemError`] where a length disagrees or an element is NaN or infinite; the cache is then as it was.
    pub fn push(&mut self, key: ArrayView1<T>, value: ArrayView1<T>) -> Result<(), ProblemError> {
        let token = self.kv_len();
        check_row("key", "head_dim", key, token, self.head_dim)?;
        check_row("value", "value_dim", value, token, self.value_dim)?;
        for (rows, row) in [(&mut self.keys, key), (&mut self.values, value)] {
            let start = rows.len();
            rows.resize(start + width(row.len()), T::default());
            for (place, &element) in rows[start..].iter_mut().zip(row) {
                *place = element;
            }
        }
        let value = &self.values[token * width(self.value_dim)..];
        let [norm, one_norm] = [sum(value, |v| v * v), sum(value, f64::abs)];
        self.largest = self.largest.max(norm);
        self.norms[0].push(norm);
        self.norms[1].push(one_norm);
        Ok(())
    }

    /// Drops all but the tokens in the given slots, which must ascend, as
    /// [`Tracker::keep`](obcache_scores::serve::Tracker::keep) does.
    ///
    /// # Errors
    /// [`SlotsError`] where they do not ascend or one is not in the cache; nothing is dropped then.
    pub fn keep(&mut self, slots: &[usize]) -> Result<(), SlotsError> {
        check_slots(slots, self.kv_len())?;
        let (key_width, value_width) = (width(self.head_dim), width(self.value_dim));
        for (kept, &slot) in slots.iter().enumerate() {
            let row = |width: usize| slot * width..(slot + 1) * width;
            self.keys.copy_within(row(key_width), kept * key_width);
            self.values.copy_within(row(value_width), kept * value_width);
            self.norms.iter_mut().for_each(|norms| norms[kept] = norms[slot]);
        }
        self.keys.truncate(slots.len() * key_width);
        self.values.truncate(slots.len() * value_width);
        self.norms.iter_mut().for_each(|norms| norms.truncate(slots.len()));
        Ok(())
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.norms[0].len()
    }

    /// Channels of a key.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Channels of a value.
    pub fn value_dim(&self) -> usize {
        self.value_dim
    }

    /// All keys, shape (kv_len, head_dim), and all values, shape (kv_len, value_dim), in 64 bits.
    pub(crate) fn tensors(&self) -> [Array2<f64>; 2] {
        [(&self.keys, self.head_dim), (&self.values, self.value_dim)].map(|(rows, channels)| {
            let element = |(token, channel): (usize, usize)| rows[token * width(channels) + channel].to_f64();
            Array2::from_shape_fn((self.kv_len(), channels), element)
        })
    }

    /// Keys of a tile of tokens, shape (tokens, width of head_dim).
    pub(crate) fn keys(&self, tile: usize) -> &[T] {
        rows_of::<T, T>(&self.keys, tile, width(self.head_dim))
    }

    /// Values of a tile of tokens, shape (tokens, width of value_dim).
    pub(crate) fn values(&self, tile: usize) -> &[T] {
        rows_of::<T, T>(&self.values, tile, width(self.value_dim))
    }

    /// ‖v‖² and ‖v‖₁ of a tile of tokens, shape (tokens) each.
    pub(crate) fn norms(&self, tile: usize) -> [&[f64]; 2] {
        self.norms.each_ref().map(|norms| rows_of::<T, _>(norms, tile, 1))
    }

    /// Tiles of tokens.
    pub(crate) fn tiles(&self) -> usize {
        self.kv_len().div_ceil(T::TILE)
    }

    /// Tokens of a tile.
    pub(crate) fn tokens(&self, tile: usize) -> usize {
        T::TILE.min(self.kv_len() - tile * T::TILE)
    }

    /// Value of one token, shape (width of value_dim).
    pub(crate) fn value(&self, token: usize) -> &[T] {
        &self.values[token * width(self.value_dim)..][..width(self.value_dim)]
    }

    /// ‖v‖² and ‖v‖₁ of one token.
    pub(crate) fn norm(&self, token: usize) -> [f64; 2] {
        self.norms.each_ref().map(|norms| norms[token])
    }

    /// What values are measured in: a power of two that neither they nor their squares leave far behind.
    pub(crate) fn unit(&self) -> f64 {
        // Also its inverse is a number of 32 bits.
        unit(self.largest).clamp(2f64.powi(-100), 2f64.powi(100))
    }
}

/// Elements of a row of so many channels: whole registers of every processor.
pub(crate) fn width(channels: usize) -> usize {
    channels.next_multiple_of(MOST_LANES)
}

fn rows_of<T: Element, R>(rows: &[R], tile: usize, width: usize) -> &[R] {
    let rows = &rows[tile * T::TILE * width..];
    &rows[..rows.len().min(T::TILE * width)]
}

fn check_row<T: Element>(
    tensor: &'static str,
    axis: &'static str,
    row: ArrayView1<T>,
    token: usize,
    expected: usize,
) -> Result<(), ProblemError> {
    check_axis(tensor, axis, row.len(), expected, "that of the cache")?;
    check_finite(tensor, token, row.iter().map(|element| element.to_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn three() -> Cache<f64> {
        let (key, value) = (array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], array![[3.0], [-4.0], [0.5]]);
        Cache::of(key.view(), value.view()).unwrap()
    }

    #[test]
    fn rows_are_filled_up_with_zeros() {
        let cache = three();
        assert_eq!(
            (cache.kv_len(), cache.head_dim(), cache.value_dim(), cache.tiles()),
            (3, 2, 1, 1)
        );
        assert_eq!((width(1), width(16), width(17)), (16, 16, 32));
        assert_eq!(cache.keys(0).len(), 48);
        assert_eq!(cache.keys(0)[16..19], [3.0, 4.0, 0.0]);
        assert_eq!(cache.values(0)[32..34], [0.5, 0.0]);
        assert_eq!(cache.value(1)[..2], [-4.0, 0.0]);
        assert_eq!(cache.norms(0), [&[9.0, 16.0, 0.25][..], &[3.0, 4.0, 0.5]]);
        assert_eq!((cache.norm(1), cache.tokens(0)), ([16.0, 4.0], 3));
        let tensors = [array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], array![[3.0], [-4.0], [0.5]]];
        assert_eq!(cache.tensors(), tensors);
    }

    #[test]
    fn the_unit_is_a_power_of_two_within_32_bits() {
        assert_eq!(three().unit(), 4.0);
        for (size, unit) in [(0.0, 1.0), (3e38, 2f64.powi(100)), (1e-40, 2f64.powi(-100))] {
            let cache = Cache::of(array![[0.0]].view(), array![[size]].view()).unwrap();
            assert_eq!(cache.unit(), unit, "{size}");
        }
    }

    #[test]
    fn tiles_end_with_the_cache() {
        let tokens = f64_tile() + 2;
        let (key, value) = (
            ndarray::Array2::zeros((tokens, 1)),
            ndarray::Array2::zeros((tokens, 17)),
        );
        let cache = Cache::<f64>::of(key.view(), value.view()).unwrap();
        assert_eq!((cache.tiles(), cache.tokens(0), cache.tokens(1)), (2, f64_tile(), 2));
        assert_eq!(cache.values(0).len(), f64_tile() * 32);
        assert_eq!((cache.keys(1).len(), cache.values(1).len()), (32, 64));
    }

    fn f64_tile() -> usize {
        use crate::lanes::Lanes;
        f64::TILE
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_the_cache_as_it_was() {
        let mut cache = three();
        let mut refused = |key: Array1<f64>, value: Array1<f64>| {
            let text = cache.push(key.view(), value.view()).unwrap_err().to_string();
            assert_eq!(cache.kv_len(), 3);
            text
        };
        assert_eq!(
            refused(array![1.0], array![1.0]),
            "key: head_dim is 1, expected 2 (that of the cache)"
        );
        assert_eq!(
            refused(array![1.0, 2.0], array![1.0, 2.0]),
            "value: value_dim is 2, expected 1 (that of the cache)"
        );
        assert_eq!(
            refused(array![1.0, 2.0], array![f64::INFINITY]),
            "value[3, 0] is inf, expected a finite number"
        );
        assert_eq!(
            refused(array![1.0, f64::NAN], array![0.0]),
            "key[3, 1] is NaN, expected a finite number"
        );
        let empty = Cache::<f64>::new(0, 1).unwrap_err().to_string();
        assert_eq!(empty, "key: head_dim is 0, expected at least 1");
        let empty = Cache::<f64>::new(1, 0).unwrap_err().to_string();
        assert_eq!(empty, "value: value_dim is 0, expected at least 1");
        let other = Cache::of(array![[1.0], [2.0]].view(), array![[1.0]].view());
        let text = other.unwrap_err().to_string();
        assert_eq!(text, "value: kv_len is 1, expected 2 (kv_len of key)");
    }

    #[test]
    fn slots_that_are_kept_move_up() {
        let mut cache = three();
        for (slots, place, slot) in [(&[1, 1][..], 1, 1), (&[3], 0, 3)] {
            let cached = 3;
            assert_eq!(cache.keep(slots), Err(SlotsError { place, slot, cached }));
        }
        cache.keep(&[0, 2]).unwrap();
        assert_eq!(cache.keys(0)[..2], [1.0, 2.0]);
        assert_eq!(
            (cache.keys(0).len(), cache.keys(0)[16], cache.values(0).len()),
            (32, 5.0, 32)
        );
        assert_eq!(cache.norms(0), [&[9.0, 0.25][..], &[3.0, 0.5]]);
        cache.keep(&[]).unwrap();
        assert_eq!(cache.kv_len(), 0);
    }
}
