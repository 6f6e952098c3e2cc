//! What a block of queries adds to the sums of all.

use std::ops::Range;

use crate::element::Element;
use crate::first::Contribution;
use crate::pair_sums::SUMS;
use crate::sizes::Sizes;
use crate::tiling::BLOCK;

/// What a block yields.
#[derive(Debug)]
pub(crate) struct BlockSums<T> {
    /// Tiles that some query of the block sees.
    pub tiles: Range<usize>,
    /// Column sums but for the first tokens, shape (tiles, SUMS, TILE).
    pub sums: Vec<T>,
    /// What the queries' first tokens contribute.
    pub firsts: Vec<Contribution>,
    /// Attention output, shape (queries, value_dim of the packed values).
    pub output: Vec<T>,
    /// Shape (queries).
    pub log_sum_exp: Vec<f64>,
}

impl<T: Element> BlockSums<T> {
    /// Room for any block of a run of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        Self {
            tiles: 0..0,
            sums: Vec::with_capacity(sizes.widest * SUMS * T::TILE),
            firsts: Vec::with_capacity(BLOCK),
            output: Vec::with_capacity(BLOCK * sizes.value_dim),
            log_sum_exp: Vec::with_capacity(BLOCK),
        }
    }

    /// Bytes of that room.
    pub fn bytes(sizes: &Sizes) -> usize {
        let numbers = sizes.widest * SUMS * T::TILE + BLOCK * sizes.value_dim;
        numbers * size_of::<T>() + BLOCK * (size_of::<Contribution>() + size_of::<f64>())
    }

    /// Zero sums of these tiles, and no query yet.
    pub fn clear(&mut self, tiles: Range<usize>) {
        self.sums.clear();
        self.sums.resize(tiles.len() * SUMS * T::TILE, T::default());
        self.tiles = tiles;
        self.firsts.clear();
        self.output.clear();
        self.log_sum_exp.clear();
    }
}
