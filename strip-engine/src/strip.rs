//! A strip of queries: which tiles it meets, how far into each, and where its numbers lie.

use std::ops::Range;

use pulp::Simd;

use crate::element::Element;
use crate::packed::Packed;
use crate::problem::Problem;
use crate::products;
use crate::tiling::{ROWS, columns_of_tile, elements, half, seen_by, tiles};

/// A strip of a block: so many queries at a time are kept against all tokens they see.
pub(crate) struct Strip<'a, 'p, T: Element, S> {
    pub simd: S,
    pub problem: &'a Problem<'p, T>,
    pub packed: &'a Packed<T>,
    pub head: usize,
    pub queries: Range<usize>,
    /// Tokens that some query of the strip sees.
    seen: Range<usize>,
    /// End of those that some query of its upper half sees.
    upper_end: usize,
}

impl<'a, 'p, T: Element, S: Simd> Strip<'a, 'p, T, S> {
    pub fn new(
        simd: S,
        (problem, packed): (&'a Problem<'p, T>, &'a Packed<T>),
        head: usize,
        queries: Range<usize>,
    ) -> Self {
        let upper = queries.start..queries.end.min(queries.start + half(queries.len()));
        Self {
            simd,
            problem,
            packed,
            head,
            seen: seen_by(problem, &queries),
            upper_end: seen_by(problem, &upper).end,
            queries,
        }
    }

    pub fn tiles(&self) -> Range<usize> {
        tiles::<T>(&self.seen)
    }

    /// Queries with their padding.
    pub fn rows(&self) -> usize {
        self.queries.len().next_multiple_of(ROWS)
    }

    /// Tokens of a tile that have to be gone over.
    pub fn columns(&self, tile: usize) -> usize {
        columns_of_tile::<T>(self.seen.end, tile)
    }

    /// Rows that are multiplied with a tile at a time, and with how many of its tokens: under causal order the upper half
    /// sees less of the last tiles.
    pub fn parts(&self, tile: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let (rows, half) = (self.rows(), half(self.queries.len()));
        let [fewer, all] = [self.upper_end, self.seen.end].map(|end| columns_of_tile::<T>(end, tile));
        let parts = if fewer < all {
            [(0..half, fewer), (half..rows, all)]
        } else {
            [(0..rows, all), (rows..rows, 0)]
        };
        parts.into_iter().filter(|(_, columns)| *columns > 0)
    }

    /// Products of a tile's tokens, as channels of so many, with the rows of `right`, part by part. Pairs that are not
    /// multiplied keep what they had.
    pub fn multiply(&self, tile: usize, pairs: &mut [T], left: &[T], right: &[T], channels: usize) {
        for (rows, columns) in self.parts(tile) {
            let pairs = &mut pairs[elements(&rows, T::STRIDE)];
            products::pairs(pairs, columns, left, &right[elements(&rows, channels)], channels);
        }
    }

    /// Where the logits of a tile lie.
    pub fn place(&self, tile: usize) -> Range<usize> {
        let size = self.rows() * T::STRIDE;
        let start = (tile - self.tiles().start) * size;
        start..start + size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::Sizes;
    use ndarray::{Array2, Array3};

    #[test]
    fn the_upper_half_of_a_strip_is_not_multiplied_with_what_it_does_not_see() {
        let parts = |tokens: usize, queries: usize, tile: usize| {
            let (query, key) = (Array3::<f32>::zeros((1, queries, 1)), Array2::<f32>::zeros((tokens, 1)));
            let problem = Problem::new(query.view(), key.view(), key.view()).unwrap();
            let packed = Packed::new(&Sizes::default());
            let strip = Strip::new(pulp::Scalar::new(), (&problem, &packed), 0, 0..queries);
            strip.parts(tile).collect::<Vec<_>>()
        };
        assert_eq!(parts(872, 128, 1), [(0..128, 384)]);
        // The first 64 see up to token 808, the tile's 40th.
        assert_eq!(parts(872, 128, 2), [(0..64, 48), (64..128, 112)]);
        // Up to 736: nothing of the tile.
        assert_eq!(parts(800, 128, 2), [(64..128, 32)]);
        // 11 of 21 make 16 rows, and those that fill the others up see nothing.
        assert_eq!(parts(35, 21, 0), [(0..16, 32), (16..24, 48)]);
        assert_eq!(parts(35, 8, 0), [(0..8, 48)]);
    }
}
