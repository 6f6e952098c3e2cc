//! The column sums of a head, in 64 bits, to which the blocks are added in their order.

use std::array;

use ndarray::{Array1, Array2};

use crate::block_sums::BlockSums;
use crate::columns::{COLUMNS, plain_columns};
use crate::element::Element;
use crate::packed::Packed;
use crate::pair_sums::{PairSums, SUMS};
use crate::saliencies::Saliencies;

/// Sums, outputs and log-sum-exps of one head.
pub(crate) struct Totals<T> {
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

    /// Adds a block whose first query is that many after the first of the window.
    #[inline(always)]
    pub fn add(&mut self, block: &BlockSums<T>, first_query: usize) {
        for (tile, sums) in block.tiles.clone().zip(block.sums.chunks(SUMS * T::TILE)) {
            for (totals, sums) in self.sums.iter_mut().zip(sums.chunks(T::TILE)) {
                for (total, sum) in totals[tile * T::TILE..].iter_mut().zip(sums) {
                    *total += sum.to_f64();
                }
            }
        }
        for first in &block.firsts {
            for (totals, sum) in self.sums.iter_mut().zip(first.sums.into_array()) {
                totals[first.token] += sum;
            }
        }
        let rows = self.output.rows_mut().into_iter().skip(first_query);
        for (mut row, output) in rows.zip(block.output.chunks(self.channels)) {
            for (o, &output) in row.iter_mut().zip(output) {
                *o = output;
            }
        }
        for (all, lse) in self.log_sum_exp.iter_mut().skip(first_query).zip(&block.log_sum_exp) {
            *all = *lse;
        }
    }

    /// The scores that the sums make, with the values back in their own unit.
    pub fn saliencies(self, packed: &Packed<T>) -> Saliencies<T> {
        let mut columns: [_; COLUMNS] = array::from_fn(|_| Array1::zeros(packed.plain_norms.len()));
        for (token, &norms) in packed.plain_norms.iter().enumerate() {
            let sums = PairSums::from_array(array::from_fn(|sum| self.sums[sum][token]));
            for (column, number) in columns.iter_mut().zip(plain_columns(sums, norms, packed.unit)) {
                column[token] = number;
            }
        }
        Saliencies {
            output: self.output,
            log_sum_exp: self.log_sum_exp,
            columns,
        }
    }
}
