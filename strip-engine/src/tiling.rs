//! How queries and tokens are cut up: queries into blocks, blocks into strips, tokens into tiles.

use std::ops::Range;

use crate::element::Element;
use crate::lanes::MOST_LANES;
use crate::problem::Problem;

/// Queries whose contributions are summed in the storage's precision before they join the sums of all in 64 bits.
pub const BLOCK: usize = 256;

/// Queries of a strip at most: as many as the matrix products need to be at their fastest.
pub const HEIGHT: usize = 128;

/// Queries are padded to a multiple of this, so that a low strip meets the same products as a high one.
pub(crate) const ROWS: usize = 8;

/// Bytes of logits that a strip keeps where no height is asked for: more are slower than the products of a lower strip. It is what
/// 128 queries need of 65,536 tokens in 32 bits.
const STRIP: usize = 34 << 20;

/// Tokens that some of the queries see.
pub(crate) fn seen_by<T: Element>(problem: &Problem<T>, queries: &Range<usize>) -> Range<usize> {
    let seen = || {
        queries
            .clone()
            .map(|i| problem.visible(i))
            .filter(|seen| !seen.is_empty())
    };
    // Queries that see nothing see the empty range.
    let start = seen().map(|seen| seen.start).min().unwrap_or(0);
    start..seen().map(|seen| seen.end).max().unwrap_or(0)
}

/// Tokens of a tile to go over, of which those from `end` on are not seen.
pub(crate) fn columns_of_tile<T: Element>(end: usize, tile: usize) -> usize {
    end.saturating_sub(tile * T::TILE)
        .next_multiple_of(MOST_LANES)
        .min(T::TILE)
}

/// Rows of the upper half of a strip of so many queries.
pub(crate) fn half(queries: usize) -> usize {
    queries.div_ceil(2).next_multiple_of(ROWS)
}

/// Where the numbers of these rows lie, each of so many.
pub(crate) fn elements(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Queries of a strip where no height is asked for.
pub(crate) fn height<T: Element>(problem: &Problem<T>) -> usize {
    let query = widest(problem) * T::STRIDE * size_of::<T>();
    let fitting = STRIP.checked_div(query).unwrap_or(HEIGHT);
    let most = (fitting / ROWS * ROWS).clamp(ROWS, HEIGHT);
    // A block in even parts: products of a last strip of few queries are slow.
    BLOCK.div_ceil(BLOCK.div_ceil(most)).next_multiple_of(ROWS)
}

/// Tiles that the widest block of a problem's queries sees.
pub(crate) fn widest<T: Element>(problem: &Problem<T>) -> usize {
    let window = problem.queries();
    let blocks = window
        .clone()
        .step_by(BLOCK)
        .map(|first| first..window.end.min(first + BLOCK));
    blocks
        .map(|queries| tiles::<T>(&seen_by(problem, &queries)).len())
        .max()
        // Of no queries there is no block, and no tile.
        .unwrap_or(0)
}

pub(crate) fn tiles<T: Element>(seen: &Range<usize>) -> Range<usize> {
    seen.start / T::TILE..seen.end.div_ceil(T::TILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

    #[test]
    fn a_tile_is_gone_over_up_to_the_last_vector_that_is_seen() {
        assert_eq!(
            [1, 16, 17, 384].map(|end| columns_of_tile::<f32>(end, 0)),
            [16, 16, 32, 384]
        );
        assert_eq!(
            [385, 401, 768, 1000].map(|end| columns_of_tile::<f32>(end, 1)),
            [16, 32, 384, 384]
        );
    }

    #[test]
    fn the_widest_block_is_that_of_the_last_queries() {
        let (query, key) = (Array3::<f32>::zeros((1, 400, 1)), Array2::<f32>::zeros((1000, 1)));
        let problem = Problem::new(query.view(), key.view(), key.view()).unwrap();
        assert_eq!(widest(&problem), 3);
        // From token 885 of the first query of the last block on, or from 617 of the first block's: 2 tiles of 384.
        assert_eq!(widest(&problem.clone().with_sliding_window(100).unwrap()), 2);
        let long = Array3::<f32>::zeros((1, 800, 1));
        let narrow = Problem::new(long.view(), key.view(), key.view()).unwrap();
        assert_eq!(widest(&narrow.with_sliding_window(10).unwrap()), 2);
        assert_eq!(widest(&problem.with_queries(obd_core::QueryWindow::Last(0))), 0);
    }

    #[test]
    fn strips_of_long_caches_are_lower() {
        let height = |tokens: usize| {
            let (query, key) = (Array3::<f32>::zeros((1, tokens, 1)), Array2::<f32>::zeros((tokens, 1)));
            height(&Problem::new(query.view(), key.view(), key.view()).unwrap())
        };
        // 34 MiB over 1600 bytes a tile: 22282 queries and tiles. 120 rows, of 175, would be 3 strips, and 80, of 254, 4.
        let tiles = [1, 171, 174, 175, 186, 253, 254, 342, 2785, 10_000];
        let heights = [128, 128, 128, 88, 88, 88, 64, 64, 8, 8];
        assert_eq!(tiles.map(|tiles| height(384 * tiles)), heights);
    }
}
