//! Keys and values laid out for the matrix products, once for all queries of all heads that read them.
//!
//! Both are centred: a vector subtracted from all keys leaves the softmax as it is, one from all values leaves every v - o
//! as it is (C14). What all tokens share in a channel so costs no digits; nothing is subtracted where that would round. The values are in a unit of their own, a power of two, so that no square of
//! them leaves the range of 32 bits, and have zeros for channels up to a multiple of [`LANES`](crate::partial_sums::LANES).

use std::array::from_fn;

use aligned_vec::{AVec, avec};
use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::parallel::each;
use crate::partial_sums::padded;
use crate::problem::Problem;
use crate::sizes::Sizes;
use crate::survey::{Channel, Survey, common, unit};
use crate::tensor_rows::TensorRows;

/// Keys and values of one KV head, in tiles of so many tokens as [`TILE`](crate::lanes::Lanes::TILE) says; the last tile is filled up with zeros.
#[derive(Debug)]
pub(crate) struct Packed<T> {
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
            keys: AVec::with_capacity(0, tokens * sizes.head_dim),
            values: AVec::with_capacity(0, tokens * sizes.value_dim),
            value_channels: AVec::with_capacity(0, tokens * sizes.value_dim),
            norms: AVec::with_capacity(0, tokens),
            halves: AVec::with_capacity(0, tokens),
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
        let rows = (TensorRows::new(&key), TensorRows::new(&value));
        self.survey(simd, rows, threads);
        self.make_room(problem.kv_len());
        self.fill(simd, rows, threads);
    }

    /// Norms, means and unit.
    fn survey<S: Simd>(&mut self, simd: S, (keys, values): (TensorRows<T>, TensorRows<T>), threads: usize) {
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
    fn fill<S: Simd>(&mut self, simd: S, (keys, values): (TensorRows<T>, TensorRows<T>), threads: usize) {
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
    keys: TensorRows<'a, T>,
    values: TensorRows<'a, T>,
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
fn center<T: Element>(rows: TensorRows<T>, mean: &[f64], unit: f64, centred: &mut [T]) {
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
