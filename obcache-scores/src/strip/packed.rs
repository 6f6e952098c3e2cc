//! Keys and values laid out for the matrix products, once for all queries of all heads that read them.
//!
//! Both are centred: a vector subtracted from all keys leaves the softmax as it is, one from all values leaves every v - o
//! as it is (C14). What all tokens share in a channel so costs no digits; nothing is subtracted where that would round. The values are in a unit of their own, a power of two, so that no square of
//! them leaves the range of 32 bits, and have zeros for channels up to a multiple of [`LANES`].

use std::array::from_fn;

use aligned_vec::{AVec, avec};
use ndarray::{CowArray, Ix2};
use pulp::{Simd, WithSimd};

use super::buffers::{Sizes, with_capacity};
use super::element::Element;
use super::parallel::each;
use super::problem::Problem;

/// Channels of values come in such multiples, and sums over them are that many partial sums.
pub(super) const LANES: usize = 8;

/// Keys and values of one KV head, in tiles of so many tokens as [`TILE`](super::lanes::Lanes::TILE) says; the last tile is filled up with zeros.
#[derive(Debug)]
pub(super) struct Packed<T> {
    /// Centred keys, shape (tiles, head_dim, TILE).
    pub keys: AVec<T>,
    /// Centred values in units, shape (tiles, TILE, value_dim).
    pub values: AVec<T>,
    /// The same, shape (tiles, value_dim, TILE).
    pub value_channels: AVec<T>,
    /// ‖v - mean‖² in units, shape (tiles, TILE).
    pub norms: AVec<T>,
    /// ½‖v - mean‖² + mean·(v - mean) in units, shape (tiles, TILE).
    pub halves: AVec<T>,
    /// ‖v‖² and ‖v‖₁ of the values as they came, shape (kv_len).
    pub plain_norms: Vec<[f64; 2]>,
    /// What was subtracted from the keys, shape (head_dim).
    pub key_mean: Vec<f64>,
    /// What was subtracted from the values, in units, shape (value_dim).
    pub value_mean: Vec<f64>,
    /// What the packed values are multiples of.
    pub unit: f64,
}

impl<T: Element> Packed<T> {
    /// Room for the cache of any run of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        let tokens = sizes.tiles * T::TILE;
        Self {
            keys: with_capacity(tokens * sizes.head_dim),
            values: with_capacity(tokens * sizes.value_dim),
            value_channels: with_capacity(tokens * sizes.value_dim),
            norms: with_capacity(tokens),
            halves: with_capacity(tokens),
            plain_norms: Vec::with_capacity(tokens),
            key_mean: Vec::new(),
            value_mean: Vec::new(),
            unit: 1.0,
        }
    }

    /// Bytes of that room and of the means.
    pub fn bytes(sizes: &Sizes) -> usize {
        let channels = sizes.head_dim + 2 * sizes.value_dim;
        let token = size_of::<T>() * (channels + 2) + size_of::<[f64; 2]>();
        sizes.tiles * T::TILE * token + 2 * size_of::<f64>() * (sizes.head_dim + sizes.value_dim)
    }

    /// Packs the cache of `problem` in the place of what there was; O(kv_len · (head_dim + value_dim)).
    pub fn pack<S: Simd>(&mut self, simd: S, problem: &Problem<T>, threads: usize) {
        let (key, value) = (problem.key(), problem.value());
        let (key, value) = (key.as_standard_layout(), value.as_standard_layout());
        let rows = (Rows::new(&key), Rows::new(&value));
        self.survey(simd, rows, threads);
        self.make_room(problem.kv_len());
        self.fill(simd, rows, threads);
    }

    /// Norms, means and unit.
    fn survey<S: Simd>(&mut self, simd: S, (keys, values): (Rows<T>, Rows<T>), threads: usize) {
        let tokens = keys.len();
        let mut surveys = vec![Survey::default(); tokens.div_ceil(T::TILE)];
        let worker = |_| {
            |(tile, survey): (usize, &mut Survey)| {
                *survey = simd.vectorize(|| Survey::new(keys.tile(tile), values.tile(tile)));
            }
        };
        each(1, surveys.iter_mut().enumerate(), (0..threads).map(worker));
        self.plain_norms.clear();
        let norms = surveys.iter().flat_map(|survey| &survey.plain_norms);
        self.plain_norms.extend(norms);
        let norms = self.plain_norms.iter();
        self.unit = unit(norms.fold(0.0, |largest, norms| norms[0].max(largest)));
        let common = |channels: fn(&Survey) -> &Vec<Channel>| common::<T>(surveys.iter().map(channels), tokens);
        self.key_mean = common(|survey| &survey.keys);
        self.value_mean = common(|survey| &survey.values);
        self.value_mean.iter_mut().for_each(|mean| *mean /= self.unit);
        self.value_mean.resize(padded(values.width), 0.0);
    }

    /// As many numbers as the tiles of so many tokens have.
    fn make_room(&mut self, tokens: usize) {
        let tokens = tokens.next_multiple_of(T::TILE);
        let (head_dim, value_dim) = (self.key_mean.len(), self.value_mean.len());
        self.keys.resize(tokens * head_dim, T::default());
        self.values.resize(tokens * value_dim, T::default());
        self.value_channels.resize(tokens * value_dim, T::default());
        self.norms.resize(tokens, T::default());
        self.halves.resize(tokens, T::default());
    }

    /// The tiles, from the rows.
    fn fill<S: Simd>(&mut self, simd: S, (keys, values): (Rows<T>, Rows<T>), threads: usize) {
        let (key_mean, value_mean, unit) = (self.key_mean.clone(), self.value_mean.clone(), self.unit);
        let worker = |_| {
            let mut rows = avec![T::default(); T::TILE * keys.width];
            let (key_mean, value_mean) = (&key_mean, &value_mean);
            move |(number, tile): (usize, Tile<T>)| {
                simd.vectorize(Filling {
                    keys: keys.tile(number),
                    values: values.tile(number),
                    key_mean,
                    value_mean,
                    unit,
                    rows: &mut rows,
                    tile,
                });
            }
        };
        each(1, self.tiles().enumerate(), (0..threads).map(worker));
    }

    /// Channels of a packed value.
    pub fn value_dim(&self) -> usize {
        self.value_mean.len()
    }

    fn tiles(&mut self) -> impl Iterator<Item = Tile<'_, T>> + Send {
        let [head_dim, value_dim] = [self.key_mean.len(), self.value_mean.len()];
        let tokens = self.norms.chunks_mut(T::TILE).zip(self.halves.chunks_mut(T::TILE));
        let values = self.values.chunks_mut(T::TILE * value_dim);
        let values = values.zip(self.value_channels.chunks_mut(T::TILE * value_dim));
        let keys = self.keys.chunks_mut(T::TILE * head_dim);
        tokens.zip(values).zip(keys).map(|((tokens, values), keys)| Tile {
            keys,
            values: values.0,
            value_channels: values.1,
            norms: tokens.0,
            halves: tokens.1,
        })
    }
}

/// The rows of a tensor, one after another.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    elements: &'a [T],
    width: usize,
}

impl<'a, T: Element> Rows<'a, T> {
    fn new(tensor: &'a CowArray<T, Ix2>) -> Self {
        // The standard layout is one slice.
        Self {
            elements: tensor.as_slice().unwrap_or_default(),
            width: tensor.ncols(),
        }
    }

    /// Number of rows.
    fn len(&self) -> usize {
        self.elements.len() / self.width
    }

    /// The rows of one tile of tokens.
    fn tile(&self, tile: usize) -> Self {
        let size = T::TILE * self.width;
        let end = self.elements.len().min((tile + 1) * size);
        Self {
            elements: &self.elements[tile * size..end],
            width: self.width,
        }
    }

    fn rows(&self) -> impl Iterator<Item = &'a [T]> {
        self.elements.chunks(self.width)
    }
}

/// What has to be known of all tokens before one is packed.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    /// The channels of the keys and of the values.
    keys: Vec<Channel>,
    values: Vec<Channel>,
    plain_norms: Vec<[f64; 2]>,
}

/// One channel of all tokens.
#[derive(Debug, Clone, Copy)]
struct Channel {
    sum: f64,
    least: f64,
    greatest: f64,
}

impl Channel {
    const EMPTY: Self = Self {
        sum: 0.0,
        least: f64::INFINITY,
        greatest: f64::NEG_INFINITY,
    };

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            least: if other.least < self.least {
                other.least
            } else {
                self.least
            },
            greatest: if other.greatest > self.greatest {
                other.greatest
            } else {
                self.greatest
            },
        }
    }

    /// The mean of so many tokens, rounded to the storage, where all lie within a factor of 2 of it: there it is
    /// subtracted without rounding (Sterbenz). Else 0.
    fn common<T: Element>(self, tokens: usize) -> f64 {
        let mean = T::from_f64(self.sum / tokens as f64).to_f64();
        let (nearest, farthest) = if mean > 0.0 {
            (self.least, self.greatest)
        } else {
            (-self.greatest, -self.least)
        };
        if 0.5 * mean.abs() <= nearest && farthest <= 2.0 * mean.abs() {
            mean
        } else {
            0.0
        }
    }
}

impl Survey {
    /// Bytes of a survey of so many channels, but for the norms.
    pub fn bytes(channels: usize) -> usize {
        size_of::<Self>() + channels * size_of::<Channel>()
    }

    #[inline(always)]
    fn new<T: Element>(keys: Rows<T>, values: Rows<T>) -> Self {
        let norms = values.rows().map(|value| [sum(value, |v| v * v), sum(value, f64::abs)]);
        Self {
            plain_norms: norms.collect(),
            keys: channels(keys),
            values: channels(values),
        }
    }
}

/// The parts of one tile, to be filled in.
struct Tile<'a, T> {
    keys: &'a mut [T],
    values: &'a mut [T],
    value_channels: &'a mut [T],
    norms: &'a mut [T],
    halves: &'a mut [T],
}

/// One tile from its rows.
struct Filling<'a, T> {
    keys: Rows<'a, T>,
    values: Rows<'a, T>,
    key_mean: &'a [f64],
    value_mean: &'a [f64],
    unit: f64,
    /// Room for the centred keys.
    rows: &'a mut [T],
    tile: Tile<'a, T>,
}

impl<T: Element> WithSimd for Filling<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let tile = &mut self.tile;
        center(self.keys, self.key_mean, 1.0, self.rows);
        transpose(self.rows, tile.keys);
        center(self.values, self.value_mean, self.unit, tile.values);
        transpose(tile.values, tile.value_channels);
        tile.set_norms(self.value_mean);
    }
}

impl<T: Element> Tile<'_, T> {
    #[inline(always)]
    fn set_norms(&mut self, value_mean: &[f64]) {
        let (mut norms, mut along_mean) = (vec![0.0; T::TILE], vec![0.0; T::TILE]);
        for (channel, mean) in self.value_channels.chunks_exact(T::TILE).zip(value_mean) {
            for ((v, norm), along) in channel.iter().zip(&mut norms).zip(&mut along_mean) {
                *norm += v.to_f64() * v.to_f64();
                *along += v.to_f64() * mean;
            }
        }
        for ((norm, along), (packed, half)) in norms
            .iter()
            .zip(along_mean)
            .zip(self.norms.iter_mut().zip(&mut *self.halves))
        {
            *packed = T::from_f64(*norm);
            *half = T::from_f64(0.5 * norm + along);
        }
    }
}

/// `row / unit - mean` of every row into rows of the mean's length, and zeros after them.
#[inline(always)]
fn center<T: Element>(rows: Rows<T>, mean: &[f64], unit: f64, centred: &mut [T]) {
    let inverse = 1.0 / unit;
    for (row, centred) in rows.rows().zip(centred.chunks_mut(mean.len())) {
        let (centred, padding) = centred.split_at_mut(row.len());
        for ((element, mean), centred) in row.iter().zip(mean).zip(centred) {
            *centred = T::from_f64(element.to_f64() * inverse - mean);
        }
        padding.fill(T::default());
    }
    centred[rows.len() * mean.len()..].fill(T::default());
}

/// A tile's rows into columns, a piece of so many rows and columns at a time.
#[inline(always)]
fn transpose<T: Element>(rows: &[T], columns: &mut [T]) {
    const PIECE: usize = 16;
    let width = rows.len() / T::TILE;
    for first_row in (0..T::TILE).step_by(PIECE) {
        let rows: [&[T]; PIECE] = from_fn(|row| &rows[(first_row + row) * width..][..width]);
        for first_column in (0..width).step_by(PIECE) {
            for column in first_column..width.min(first_column + PIECE) {
                let transposed = &mut columns[column * T::TILE + first_row..][..PIECE];
                for (row, element) in rows.iter().zip(transposed) {
                    *element = row[column];
                }
            }
        }
    }
}

/// Channels with those that fill them up.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// Sum over a row in [`LANES`] partial sums, so that no addition waits for the one before.
#[inline(always)]
pub(super) fn sum<T: Element>(row: &[T], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane].to_f64());
        }
    }
    for (sum, v) in sums.iter_mut().zip(rest) {
        *sum += term(v.to_f64());
    }
    sums.iter().sum()
}

/// Product of a row and a mean row, in partial sums likewise.
#[inline(always)]
pub(super) fn dot<T: Element>(row: &[T], mean: &[f64]) -> f64 {
    let (row, row_rest) = row.as_chunks::<LANES>();
    let (mean, mean_rest) = mean.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (row, mean) in row.iter().zip(mean) {
        for lane in 0..LANES {
            sums[lane] += row[lane].to_f64() * mean[lane];
        }
    }
    for ((sum, element), mean) in sums.iter_mut().zip(row_rest).zip(mean_rest) {
        *sum += element.to_f64() * mean;
    }
    sums.iter().sum()
}

#[inline(always)]
fn channels<T: Element>(rows: Rows<T>) -> Vec<Channel> {
    let mut channels = vec![Channel::EMPTY; rows.width];
    for row in rows.rows() {
        for (channel, element) in channels.iter_mut().zip(row) {
            let (sum, least, greatest) = (element.to_f64(), element.to_f64(), element.to_f64());
            *channel = channel.and(Channel { sum, least, greatest });
        }
    }
    channels
}

/// What the tokens share, channel by channel.
fn common<'a, T: Element>(surveys: impl Iterator<Item = &'a Vec<Channel>>, tokens: usize) -> Vec<f64> {
    let all = surveys.cloned().reduce(|mut all, channels| {
        all.iter_mut()
            .zip(channels)
            .for_each(|(all, channel)| *all = all.and(channel));
        all
    });
    all.unwrap_or_default()
        .into_iter()
        .map(|channel| channel.common::<T>(tokens))
        .collect()
}

/// A power of two that no value's length exceeds by much, from the largest ‖v‖²; 1 where all are 0.
pub(super) fn unit(largest: f64) -> f64 {
    if largest > 0.0 {
        (0.5 * largest.log2()).ceil().exp2()
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn channel(numbers: &[f64]) -> Channel {
        let one = |&number: &f64| Channel {
            sum: number,
            least: number,
            greatest: number,
        };
        numbers.iter().map(one).reduce(Channel::and).unwrap()
    }

    #[test]
    fn sums_over_a_row_take_in_what_the_lanes_leave_over() {
        let row: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((sum(&row, |v| v * v), sum(&row[..3], f64::abs)), (385.0, 6.0));
        assert_eq!((dot(&row, &row), dot(&row[..3], &row[..3])), (385.0, 14.0));
    }

    #[test]
    fn a_channel_knows_its_sum_and_its_ends() {
        let all = channel(&[3.0, -1.0, 2.0]);
        assert_eq!((all.sum, all.least, all.greatest), (4.0, -1.0, 3.0));
        let all = channel(&[-1.0, 2.0, 5.0]);
        assert_eq!((all.sum, all.least, all.greatest), (6.0, -1.0, 5.0));
    }

    #[test]
    fn channels_are_those_of_all_rows() {
        let rows = array![[1.0, -2.0], [4.0, 8.0], [2.0, 0.5]];
        let found = channels(Rows::new(&CowArray::from(rows.view())));
        let found: Vec<_> = found.iter().map(|all| (all.sum, all.least, all.greatest)).collect();
        assert_eq!(found, [(7.0, 1.0, 4.0), (6.5, -2.0, 8.0)]);
    }

    #[test]
    fn what_lies_within_a_factor_of_two_of_its_mean_is_in_common() {
        let common = |numbers: &[f64]| channel(numbers).common::<f64>(numbers.len());
        assert_eq!((common(&[2.0, 4.0]), common(&[-2.0, -4.0])), (3.0, -3.0));
        // Both ends of the range: 10 is half of 20, 40 twice 20.
        assert_eq!(common(&[10.0, 10.0, 40.0]), 20.0);
        assert_eq!(common(&[9.0, 11.0, 40.0]), 0.0);
        assert_eq!(common(&[11.0, 11.0, 11.0, 47.0]), 0.0);
        assert_eq!(common(&[-11.0, -11.0, -11.0, -47.0]), 0.0);
        assert_eq!((common(&[-1.0, 1.0]), common(&[0.0, 0.0])), (0.0, 0.0));
        assert_eq!(channel(&[0.1]).common::<f32>(1), f64::from(0.1f32));
    }
}
