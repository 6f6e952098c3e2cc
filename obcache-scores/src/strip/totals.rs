//! The column sums of a head, in 64 bits, to which the blocks are added in their order.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array1, Array2};

use super::block::BlockSums;
use super::element::Element;
use super::first::SUMS;
use super::packed::Packed;
use super::saliencies::Saliencies;

/// Sums, outputs and log-sum-exps of one head.
pub(super) struct Totals<T> {
    /// Shape (tokens, rounded up to tiles, SUMS).
    sums: Vec<Vec<f64>>,
    /// Of a block's outputs, which end in padding.
    channels: usize,
    output: Array2<T>,
    log_sum_exp: Array1<f64>,
}

impl<T: Element> Totals<T> {
    pub fn new(packed: &Packed<T>, (queries, value_dim): (usize, usize)) -> Self {
        Self {
            sums: vec![vec![0.0; packed.norms.len()]; SUMS],
            channels: packed.value_dim(),
            output: Array2::default((queries, value_dim)),
            log_sum_exp: Array1::zeros(queries),
        }
    }

    /// Adds a block of these queries, counted from the first of the window.
    #[inline(always)]
    pub fn add(&mut self, block: BlockSums<T>, queries: Range<usize>) {
        for (tile, sums) in block.tiles.zip(block.sums.chunks(SUMS * T::TILE)) {
            for (totals, sums) in self.sums.iter_mut().zip(sums.chunks(T::TILE)) {
                for (total, sum) in totals[tile * T::TILE..].iter_mut().zip(sums) {
                    *total += sum.to_f64();
                }
            }
        }
        for first in block.firsts {
            for (totals, sum) in self.sums.iter_mut().zip(first.sums) {
                totals[first.token] += sum;
            }
        }
        let rows = self.output.rows_mut().into_iter().skip(queries.start);
        for (mut row, output) in rows.zip(block.output.chunks(self.channels)) {
            for (o, &output) in row.iter_mut().zip(output) {
                *o = output;
            }
        }
        for (all, lse) in self.log_sum_exp.iter_mut().skip(queries.start).zip(block.log_sum_exp) {
            *all = lse;
        }
    }

    /// The scores that the sums make, with the values back in their own unit.
    pub fn saliencies(self, packed: &Packed<T>) -> Saliencies<T> {
        let tokens = packed.plain_norms.len();
        let unit = packed.unit * packed.unit;
        let sum = |index: usize| Array1::from_iter(self.sums[index][..tokens].iter().copied());
        let norms = |which: usize| Array1::from_iter(packed.plain_norms.iter().map(|norms| norms[which]));
        let weight = sum(0);
        let value = sum(1) * norms(0);
        // A sum of squares that rounding carried below 0 is 0; what overflowed stays not a number.
        let joint = |level: usize| {
            let joint = &value + unit * (sum(2 + 2 * level) + 2.0 * sum(3 + 2 * level));
            joint.mapv_into(|sum| if sum < 0.0 { 0.0 } else { sum })
        };
        Saliencies {
            value_one_norm: &weight * norms(1),
            key: unit * sum(2),
            joint: joint(0),
            joint_no_cross: &value + unit * sum(2),
            key_lse: unit * sum(4),
            joint_lse: joint(1),
            key_mean: unit * sum(6),
            joint_mean: joint(2),
            removal: unit * sum(8),
            key_zeroing: unit * sum(9),
            joint_zeroing: (unit * sum(10)).mapv_into(|sum| if sum < 0.0 { 0.0 } else { sum }),
            weight,
            value,
            output: self.output,
            log_sum_exp: self.log_sum_exp,
        }
    }
}

/// Hands on items in the order of their numbers, whatever order they come in.
pub(super) struct InOrder<I> {
    next: usize,
    waiting: BTreeMap<usize, I>,
}

impl<I> InOrder<I> {
    pub fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes item `number` and hands on all whose turn has come.
    pub fn take(&mut self, number: usize, item: I, mut hand_on: impl FnMut(usize, I)) {
        self.waiting.insert(number, item);
        while let Some(item) = self.waiting.remove(&self.next) {
            hand_on(self.next, item);
            self.next += 1;
        }
    }
}
