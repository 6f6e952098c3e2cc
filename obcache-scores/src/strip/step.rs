//! What a decode step yields.

use aligned_vec::{AVec, avec};
use ndarray::{Array1, Axis};

use super::cache::{Cache, width};
use super::columns::{COLUMNS, plain_columns, units};
use super::element::Element;
use super::pair_sums::PairSums;
use super::saliencies::Saliencies;
use crate::Score;

/// Output and every saliency that one query of each head of a group gives to the cached tokens.
///
/// Numbers are kept in the storage's precision and handed out in 64 bits.
#[derive(Debug, Clone)]
pub struct Step<T> {
    kv_len: usize,
    value_dim: usize,
    group_size: usize,
    /// What values are measured in.
    unit: f64,
    /// Shape (group_size, width of value_dim).
    pub(super) outputs: Vec<T>,
    /// Shape (group_size).
    pub(super) log_sum_exp: Vec<f64>,
    /// Each head's first token with its sums.
    pub(super) firsts: Vec<(usize, PairSums<f64>)>,
    /// In units, shape (tiles, group_size, COLUMNS, TILE): what is computed together lies together.
    pub(super) columns: AVec<T>,
}

impl<T: Element> Step<T> {
    pub(super) fn new() -> Self {
        Self {
            kv_len: 0,
            value_dim: 0,
            group_size: 0,
            unit: 1.0,
            outputs: Vec::new(),
            log_sum_exp: Vec::new(),
            firsts: Vec::new(),
            columns: avec![],
        }
    }

    /// Forgets the step before and makes room for one over this cache.
    pub(super) fn make_room(&mut self, cache: &Cache<T>, group_size: usize) {
        (self.kv_len, self.value_dim) = (cache.kv_len(), cache.value_dim());
        (self.group_size, self.unit) = (group_size, cache.unit());
        self.outputs.clear();
        self.log_sum_exp.clear();
        self.firsts.clear();
        let places = cache.tiles() * group_size * COLUMNS * T::TILE;
        self.columns.resize(places, T::default());
    }

    /// Writes the columns of the first tokens.
    pub(super) fn set_firsts(&mut self, cache: &Cache<T>) {
        let inverses = units(1.0 / self.unit);
        for (head, &(token, sums)) in self.firsts.iter().enumerate() {
            let found = plain_columns(sums, cache.norm(token), self.unit);
            let tile = (token / T::TILE * self.group_size + head) * COLUMNS;
            for (column, (found, inverse)) in found.into_iter().zip(inverses).enumerate() {
                self.columns[(tile + column) * T::TILE + token % T::TILE] = T::from_f64(found * inverse);
            }
        }
    }

    /// Number of query heads.
    pub fn group_size(&self) -> usize {
        self.group_size
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.kv_len
    }

    /// Output and saliencies of a query head, whose window is its one query.
    pub fn saliencies(&self, head: usize) -> Saliencies<T> {
        let output = &self.outputs[head * width(self.value_dim)..][..self.value_dim];
        let mut saliencies = Saliencies::zeros(self.kv_len);
        for (column, numbers) in saliencies.columns_mut().into_iter().enumerate() {
            self.add_column(head, column, numbers);
        }
        saliencies.output = Array1::from(output.to_vec()).insert_axis(Axis(0));
        saliencies.log_sum_exp = Array1::from_elem(1, self.log_sum_exp[head]);
        saliencies
    }

    /// Adds what a query head contributes to a score to the sums of the tokens.
    pub(crate) fn add_to(&self, head: usize, score: Score, sums: &mut Array1<f64>) {
        self.add_column(head, column_of(score), sums);
    }

    fn add_column(&self, head: usize, column: usize, sums: &mut Array1<f64>) {
        let unit = units(self.unit)[column];
        let tiles = self.columns.chunks(T::TILE).skip(head * COLUMNS + column);
        let tiles = tiles.step_by(self.group_size * COLUMNS);
        for (mut sums, numbers) in sums.axis_chunks_iter_mut(Axis(0), T::TILE).zip(tiles) {
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += unit * number.to_f64();
            }
        }
    }
}

/// Where [`columns`] puts a score.
fn column_of(score: Score) -> usize {
    match score {
        Score::Weight => 0,
        Score::Value => 1,
        Score::ValueOneNorm => 2,
        Score::Key => 3,
        Score::Joint => 4,
        Score::JointNoCross => 5,
        Score::KeyLse => 6,
        Score::JointLse => 7,
        Score::KeyMean => 8,
        Score::JointMean => 9,
        Score::Removal => 10,
    }
}
