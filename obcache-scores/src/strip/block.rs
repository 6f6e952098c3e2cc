//! A block of queries of one head: the unit of work, and of accumulation.

use std::ops::Range;

use aligned_vec::AVec;
use ndarray::{ArrayViewMut1, s};
use pulp::Simd;

use super::buffers::{Sizes, with_capacity};
use super::element::Element;
use super::first::{Contribution, Gap};
use super::lanes::MOST_LANES;
use super::packed::{Packed, dot};
use super::pair_sums::SUMS;
use super::problem::Problem;
use super::products;
use super::profile::Clock;
use super::row::{Others, Row, Weights, set_apart};
use super::softmax::{Exponentials, Largest, Meet, Sums};
use super::sweep::Sweep;

/// Queries whose contributions are summed in the storage's precision before they join the sums of all in 64 bits.
pub const BLOCK: usize = 256;

/// Queries of a strip at most: as many as the matrix products need to be at their fastest.
pub const HEIGHT: usize = 128;

/// Queries are padded to a multiple of this, so that a low strip meets the same products as a high one.
const ROWS: usize = 8;

/// Bytes of logits that a strip keeps where no height is asked for: more are slower than the products of a lower strip. It is what
/// 128 queries need of 65,536 tokens in 32 bits.
const STRIP: usize = 34 << 20;

/// What a block yields.
#[derive(Debug)]
pub(super) struct BlockSums<T> {
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
    fn clear(&mut self, tiles: Range<usize>) {
        self.sums.clear();
        self.sums.resize(tiles.len() * SUMS * T::TILE, T::default());
        self.tiles = tiles;
        self.firsts.clear();
        self.output.clear();
        self.log_sum_exp.clear();
    }
}

/// A strip of a block: so many queries at a time are kept against all tokens they see.
struct Strip<'a, 'p, T: Element, S> {
    simd: S,
    problem: &'a Problem<'p, T>,
    packed: &'a Packed<T>,
    head: usize,
    queries: Range<usize>,
    /// Tokens that some query of the strip sees.
    seen: Range<usize>,
    /// End of those that some query of its upper half sees.
    upper_end: usize,
}

impl<'a, 'p, T: Element, S: Simd> Strip<'a, 'p, T, S> {
    fn new(
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

    fn tiles(&self) -> Range<usize> {
        tiles::<T>(&self.seen)
    }

    /// Queries with their padding.
    fn rows(&self) -> usize {
        self.queries.len().next_multiple_of(ROWS)
    }

    /// Tokens of a tile that have to be gone over.
    fn columns(&self, tile: usize) -> usize {
        columns::<T>(self.seen.end, tile)
    }

    /// Rows that are multiplied with a tile at a time, and with how many of its tokens: under causal order the upper half
    /// sees less of the last tiles.
    fn parts(&self, tile: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let (rows, half) = (self.rows(), half(self.queries.len()));
        let [fewer, all] = [self.upper_end, self.seen.end].map(|end| columns::<T>(end, tile));
        let parts = if fewer < all {
            [(0..half, fewer), (half..rows, all)]
        } else {
            [(0..rows, all), (rows..rows, 0)]
        };
        parts.into_iter().filter(|(_, columns)| *columns > 0)
    }

    /// Products of a tile's tokens, as channels of so many, with the rows of `right`, part by part. Pairs that are not
    /// multiplied keep what they had.
    fn multiply(&self, tile: usize, pairs: &mut [T], left: &[T], right: &[T], channels: usize) {
        for (rows, columns) in self.parts(tile) {
            let pairs = &mut pairs[elements(&rows, T::STRIDE)];
            products::pairs(pairs, columns, left, &right[elements(&rows, channels)], channels);
        }
    }

    /// Where the logits of a tile lie.
    fn place(&self, tile: usize) -> Range<usize> {
        let size = self.rows() * T::STRIDE;
        let start = (tile - self.tiles().start) * size;
        start..start + size
    }
}

/// Buffers of one thread.
#[derive(Debug)]
pub(super) struct Workspace<T: Element> {
    /// Queries of a strip at most.
    height: usize,
    /// Scaled queries, shape (rows, head_dim).
    query: AVec<T>,
    /// Each query's logit of the mean key.
    offsets: Vec<f64>,
    /// Logits less that, shape (tiles, rows, STRIDE).
    logits: AVec<T>,
    /// Exponentials, later products v·o, of one tile, shape (rows, STRIDE).
    pairs: AVec<T>,
    /// Packed outputs, shape (rows, value_dim).
    outputs: AVec<T>,
    largest: Vec<Largest<T>>,
    /// Token and logit of each query's first, none where it sees no token.
    firsts: Vec<Option<(usize, f64)>>,
    shifts: Vec<T>,
    sums: Vec<Sums<T>>,
    others: Vec<Others>,
    rows: Vec<Row<T>>,
    /// Where the time of a block goes.
    pub clock: Clock,
}

impl<T: Element> Workspace<T> {
    /// Room for any strip of a run of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        let (height, rows) = (sizes.height, sizes.height.next_multiple_of(ROWS));
        Self {
            height,
            query: with_capacity(rows * sizes.head_dim),
            offsets: Vec::with_capacity(height),
            logits: with_capacity(sizes.widest * rows * T::STRIDE),
            pairs: with_capacity(rows * T::STRIDE),
            outputs: with_capacity(rows * sizes.value_dim),
            largest: Vec::with_capacity(height),
            firsts: Vec::with_capacity(height),
            shifts: Vec::with_capacity(height),
            sums: Vec::with_capacity(height),
            others: Vec::with_capacity(height),
            rows: Vec::with_capacity(height),
            clock: Clock::start(),
        }
    }

    /// Bytes of that room.
    pub fn bytes(sizes: &Sizes) -> usize {
        let rows = sizes.height.next_multiple_of(ROWS);
        let numbers = rows * (sizes.head_dim + (sizes.widest + 1) * T::STRIDE + sizes.value_dim);
        let query = size_of::<f64>()
            + size_of::<Largest<T>>()
            + size_of::<Option<(usize, f64)>>()
            + size_of::<T>()
            + size_of::<Sums<T>>()
            + size_of::<Others>()
            + size_of::<Row<T>>();
        numbers * size_of::<T>() + sizes.height * query
    }

    /// Column sums, outputs and log-sum-exps of a block of queries of one head, in the place of what `block` held.
    pub fn block<S: Simd>(
        &mut self,
        simd: S,
        problem: &Problem<T>,
        packed: &Packed<T>,
        (head, queries): (usize, Range<usize>),
        block: &mut BlockSums<T>,
    ) {
        self.clock = Clock::start();
        block.clear(tiles::<T>(&seen_by(problem, &queries)));
        for first in queries.clone().step_by(self.height) {
            let queries = first..queries.end.min(first + self.height);
            let strip = Strip::new(simd, (problem, packed), head, queries);
            self.strip(&strip, block);
        }
    }

    fn strip<S: Simd>(&mut self, strip: &Strip<T, S>, block: &mut BlockSums<T>) {
        self.load(strip);
        self.clock.was(|profile| &mut profile.rest);
        for tile in strip.tiles() {
            self.meet(strip, tile);
        }
        self.set_firsts_apart(strip);
        self.clock.was(|profile| &mut profile.softmax);
        // Back and forth: where a strip outgrows the cache, its last tiles are the ones still there.
        for tile in strip.tiles().rev() {
            self.exponentiate(strip, tile);
        }
        self.finish(strip, block);
        self.clock.was(|profile| &mut profile.rest);
        for tile in strip.tiles() {
            self.sweep(strip, tile, block);
        }
    }

    /// Scales the queries and makes room.
    fn load<S: Simd>(&mut self, strip: &Strip<T, S>) {
        let (problem, rows, zero) = (strip.problem, strip.rows(), T::default());
        // The rows that fill a strip up keep what they had: nothing is read of what comes of them.
        self.query.resize(rows * problem.head_dim(), zero);
        self.offsets.clear();
        strip.simd.vectorize(|| {
            for (i, scaled) in strip.queries.clone().zip(self.query.chunks_mut(problem.head_dim())) {
                let query = problem.query().slice_move(s![strip.head, i, ..]);
                ArrayViewMut1::from(&mut *scaled).zip_mut_with(&query, |scaled, q| {
                    *scaled = T::from_f64(q.to_f64() * problem.scale());
                });
                self.offsets.push(dot(scaled, &strip.packed.key_mean));
            }
        });
        self.logits.resize(strip.tiles().len() * rows * T::STRIDE, zero);
        self.pairs.resize(rows * T::STRIDE, zero);
        self.outputs.clear();
        self.outputs.resize(rows * strip.packed.value_dim(), zero);
        self.largest.clear();
        self.largest.resize(strip.queries.len(), Largest::default());
    }

    /// Logits of one tile, hidden where they are not seen, and the two largest so far.
    fn meet<S: Simd>(&mut self, strip: &Strip<T, S>, tile: usize) {
        let (problem, columns) = (strip.problem, strip.columns(tile));
        let logits = &mut self.logits[strip.place(tile)];
        let keys = &strip.packed.keys[tile * T::TILE * problem.head_dim()..];
        self.clock.was(|profile| &mut profile.softmax);
        strip.multiply(tile, logits, keys, &self.query, problem.head_dim());
        self.clock.was(|profile| &mut profile.products);
        for (logits, i) in logits.chunks_mut(T::STRIDE).zip(strip.queries.clone()) {
            let seen = problem.visible(i);
            let within = |token: usize| token.saturating_sub(tile * T::TILE).min(columns);
            logits[..within(seen.start)].fill(T::HIDDEN);
            logits[within(seen.end)..columns].fill(T::HIDDEN);
        }
        let largest = &mut self.largest;
        strip.simd.vectorize(Meet {
            logits,
            columns,
            tile,
            largest,
        });
    }

    /// Takes the first token of each query out of its logits; the others are measured from the next, or from the sink.
    fn set_firsts_apart<S: Simd>(&mut self, strip: &Strip<T, S>) {
        self.firsts.clear();
        self.shifts.clear();
        self.others.clear();
        for (row, (largest, offset)) in self.largest.iter().zip(&self.offsets).enumerate() {
            let logits = if strip.tiles().contains(&largest.tile) {
                &mut self.logits[strip.place(largest.tile)][row * T::STRIDE..][..T::TILE]
            } else {
                &mut []
            };
            let sink = strip.problem.sink(strip.head).map(|sink| sink - offset);
            let (first, others) = strip.simd.vectorize(|| set_apart(largest.two(), sink, logits));
            self.firsts
                .push(first.map(|(column, logit)| (largest.tile * T::TILE + column, logit)));
            self.shifts.push(T::from_f64(others.shift));
            self.others.push(others);
        }
        self.sums.clear();
        self.sums.resize(self.shifts.len(), Sums::default());
    }

    /// Exponentials of one tile, their sums, and their part of the outputs.
    fn exponentiate<S: Simd>(&mut self, strip: &Strip<T, S>, tile: usize) {
        let (columns, value_dim) = (strip.columns(tile), strip.packed.value_dim());
        strip.simd.vectorize(Exponentials {
            logits: &self.logits[strip.place(tile)],
            exponentials: &mut self.pairs,
            columns,
            shifts: &self.shifts,
            sums: &mut self.sums,
        });
        for (others, sums) in self.others.iter_mut().zip(&self.sums) {
            others.sum += sums.sum.to_f64();
            others.moment += sums.moment.to_f64();
        }
        let values = &strip.packed.values[tile * T::TILE * value_dim..];
        self.clock.was(|profile| &mut profile.softmax);
        for (rows, columns) in strip.parts(tile) {
            let exponentials = &self.pairs[elements(&rows, T::STRIDE)];
            let outputs = &mut self.outputs[elements(&rows, value_dim)];
            products::outputs(outputs, values, exponentials, columns, value_dim);
        }
        self.clock.was(|profile| &mut profile.products);
    }

    /// Outputs and log-sum-exps, what the sweep needs of each query, and what the first tokens contribute.
    fn finish<S: Simd>(&mut self, strip: &Strip<T, S>, block: &mut BlockSums<T>) {
        let (packed, value_dim) = (strip.packed, strip.packed.value_dim());
        let sink = strip.problem.sink(strip.head);
        self.rows.clear();
        for (row, output) in self.outputs.chunks_mut(value_dim).take(strip.queries.len()).enumerate() {
            let Some((token, logit)) = self.firsts[row] else {
                self.rows.push(Row::default());
                block.output.resize(block.output.len() + value_dim, T::default());
                block.log_sum_exp.push(sink.unwrap_or(f64::NEG_INFINITY));
                continue;
            };
            let value = &packed.values[token * value_dim..][..value_dim];
            let weights = Weights::new(logit, self.others[row], self.offsets[row], sink);
            let (plain, units) = (&mut block.output, (&packed.value_mean[..], packed.unit));
            let simd = strip.simd;
            let gap = simd.vectorize(|| Gap::new(simd, value, &weights, output, plain, units));
            self.rows.push(Row::new(&weights, &gap));
            let sums = gap.contributions(&weights, logit);
            block.firsts.push(Contribution { token, sums });
            block.log_sum_exp.push(weights.log_sum_exp);
        }
    }

    /// Column sums of one tile.
    fn sweep<S: Simd>(&mut self, strip: &Strip<T, S>, tile: usize, block: &mut BlockSums<T>) {
        let (packed, columns, value_dim) = (strip.packed, strip.columns(tile), strip.packed.value_dim());
        let channels = &packed.value_channels[tile * T::TILE * value_dim..];
        // Pairs that are not multiplied keep an exponential or a product of this strip, and are not seen either.
        strip.multiply(tile, &mut self.pairs, channels, &self.outputs, value_dim);
        self.clock.was(|profile| &mut profile.products);
        let recomputing = strip.simd.vectorize(Sweep {
            logits: &self.logits[strip.place(tile)],
            products: &self.pairs,
            columns,
            rows: &self.rows,
            norms: &packed.norms[tile * T::TILE..][..T::TILE],
            halves: &packed.halves[tile * T::TILE..][..T::TILE],
            values: &packed.values[tile * T::TILE * value_dim..][..T::TILE * value_dim],
            outputs: &self.outputs[..self.rows.len() * value_dim],
            sums: &mut block.sums[(tile - block.tiles.start) * SUMS * T::TILE..][..SUMS * T::TILE],
        });
        self.clock.was(|profile| &mut profile.sweep);
        self.clock.of_sweep_recomputing(recomputing);
    }
}

/// Tokens that some of the queries see.
fn seen_by<T: Element>(problem: &Problem<T>, queries: &Range<usize>) -> Range<usize> {
    let seen = || {
        queries
            .clone()
            .map(|i| problem.visible(i))
            .filter(|seen| !seen.is_empty())
    };
    let start = seen().map(|seen| seen.start).min().unwrap_or(0);
    start..seen().map(|seen| seen.end).max().unwrap_or(0)
}

/// Tokens of a tile to go over, of which those from `end` on are not seen.
fn columns<T: Element>(end: usize, tile: usize) -> usize {
    end.saturating_sub(tile * T::TILE)
        .next_multiple_of(MOST_LANES)
        .min(T::TILE)
}

/// Rows of the upper half of a strip of so many queries.
fn half(queries: usize) -> usize {
    queries.div_ceil(2).next_multiple_of(ROWS)
}

/// Where the numbers of these rows lie, each of so many.
fn elements(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Queries of a strip where no height is asked for.
pub(super) fn height<T: Element>(problem: &Problem<T>) -> usize {
    let query = widest(problem) * T::STRIDE * size_of::<T>();
    let fitting = STRIP.checked_div(query).unwrap_or(HEIGHT);
    let most = (fitting / ROWS * ROWS).clamp(ROWS, HEIGHT);
    // A block in even parts: products of a last strip of few queries are slow.
    BLOCK.div_ceil(BLOCK.div_ceil(most)).next_multiple_of(ROWS)
}

/// Tiles that the widest block of a problem's queries sees.
pub(super) fn widest<T: Element>(problem: &Problem<T>) -> usize {
    let window = problem.queries();
    let blocks = window
        .clone()
        .step_by(BLOCK)
        .map(|first| first..window.end.min(first + BLOCK));
    blocks
        .map(|queries| tiles::<T>(&seen_by(problem, &queries)).len())
        .max()
        .unwrap_or(0)
}

fn tiles<T: Element>(seen: &Range<usize>) -> Range<usize> {
    seen.start / T::TILE..seen.end.div_ceil(T::TILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

    #[test]
    fn a_tile_is_gone_over_up_to_the_last_vector_that_is_seen() {
        assert_eq!([1, 16, 17, 384].map(|end| columns::<f32>(end, 0)), [16, 16, 32, 384]);
        assert_eq!(
            [385, 401, 768, 1000].map(|end| columns::<f32>(end, 1)),
            [16, 32, 384, 384]
        );
    }

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
