//! A block of queries of one head, the unit of work and of accumulation: strip by strip, three passes over the tiles.

use std::ops::Range;

use aligned_vec::AVec;
use ndarray::{ArrayViewMut1, s};
use pulp::Simd;

use crate::block_sums::BlockSums;
use crate::element::Element;
use crate::first::{Contribution, Gap};
use crate::packed::Packed;
use crate::pair_sums::SUMS;
use crate::partial_sums::dot;
use crate::problem::Problem;
use crate::products;
use crate::profile::Clock;
use crate::query_terms::QueryTerms;
use crate::sizes::Sizes;
use crate::softmax::{Exponentials, Largest, Meet, Sums};
use crate::strip::Strip;
use crate::sweep::Sweep;
use crate::tiling::{ROWS, elements, seen_by, tiles};
use crate::weights::{Others, Weights, set_apart};

/// Buffers of one thread.
#[derive(Debug)]
pub(crate) struct Workspace<T: Element> {
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
    rows: Vec<QueryTerms<T>>,
    /// Where the time of a block goes.
    pub clock: Clock,
}

impl<T: Element> Workspace<T> {
    /// Room for any strip of a run of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        let (height, rows) = (sizes.height, sizes.height.next_multiple_of(ROWS));
        Self {
            height,
            query: AVec::with_capacity(0, rows * sizes.head_dim),
            offsets: Vec::with_capacity(height),
            logits: AVec::with_capacity(0, sizes.widest * rows * T::STRIDE),
            pairs: AVec::with_capacity(0, rows * T::STRIDE),
            outputs: AVec::with_capacity(0, rows * sizes.value_dim),
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
            + size_of::<QueryTerms<T>>();
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
                self.rows.push(QueryTerms::default());
                block.output.resize(block.output.len() + value_dim, T::default());
                // Without a sink the denominator is 0.
                block.log_sum_exp.push(sink.unwrap_or(f64::NEG_INFINITY));
                continue;
            };
            let value = &packed.values[token * value_dim..][..value_dim];
            let weights = Weights::new(logit, self.others[row], self.offsets[row], sink);
            let (plain, units) = (&mut block.output, (&packed.value_mean[..], packed.unit));
            let simd = strip.simd;
            let gap = simd.vectorize(|| Gap::new(simd, value, &weights, output, plain, units));
            self.rows.push(QueryTerms::new(&weights, &gap));
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
