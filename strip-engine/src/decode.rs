//! One decode step at the speed of memory: keys are read once, values twice, since v - o needs the output o first.
//!
//! The engine's strips pack keys and values for many queries; a single query would wait for the packing. Here the rows
//! are read as they lie in the [`Cache`], a tile of tokens at a time, by all query heads of the group before the next:
//!
//! ```text
//! 1  z = q·k            with each tile's two largest
//! 2  e = e^(z - shift)  their sums, and each tile's part of o
//! 3  ‖v - o‖² and o·(v - o), from the last tile to the first: the last of pass 2 are still in the cache
//! ```
//! Every score of a token follows from these, see [`Step`].

use std::num::NonZero;
use std::thread::available_parallelism;

use aligned_vec::{AVec, avec};
use ndarray::ArrayView2;
use obd_core::{ProblemError, check_axis};
use pulp::{Simd, WithSimd};

use crate::cache::{Cache, width};
use crate::checks::{check_scale, check_sinks, check_tensor};
use crate::element::Element;
use crate::first::Gap;
use crate::instructions::Instructions;
use crate::parallel::each_in_runs;
use crate::query_terms::QueryTerms;
use crate::softmax::{Exponentials, Largest, Meet, Sums};
use crate::step::Step;
use crate::step_buffers::StepBuffers;
use crate::stream::{Dots, Gaps, Mix};
use crate::weights::{Weights, set_apart};

/// Decode steps over a [`Cache`], with buffers that are kept from step to step.
///
/// Every cached token is visible to the query, as to the newest query under causal order. Neither the number of threads nor
/// what was decoded before moves a bit of a step.
///
/// ```
/// use ndarray::array;
/// use obcache_scores::serve::{Policy, Tracker};
/// use strip_engine::{Cache, Column, Decoder};
///
/// let mut cache = Cache::new(1, 1).unwrap();
/// let mut decoder = Decoder::new();
/// let mut tracker = Tracker::new(Policy::published("h2o", 1, 1).unwrap());
/// for value in [8.0, 4.0] {
///     cache.push(array![0.0].view(), array![value].view()).unwrap();
///     let step = decoder.step(&cache, array![[1.0]].view()).unwrap();
///     tracker.take_step(step.kv_len(), |head, _, sums| step.add_to(head, Column::Weight, sums)).unwrap();
/// }
/// // The first query gives weight 1, the second 1/2 and 1/2.
/// assert_eq!(tracker.saliencies(), [array![1.5, 0.5]]);
/// let slots = tracker.choice().unwrap();
/// cache.keep(&slots).unwrap();
/// tracker.keep(&slots).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Decoder<T> {
    threads: NonZero<usize>,
    instructions: Instructions,
    scale: Option<f64>,
    sinks: Option<Vec<f64>>,
    buffers: StepBuffers<T>,
}

impl<T: Element> Default for Decoder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Decoder<T> {
    /// A decoder on all cores with the widest instructions and scale `1/sqrt(head_dim)`.
    pub fn new() -> Self {
        Self {
            threads: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            instructions: Instructions::widest(),
            scale: None,
            sinks: None,
            buffers: StepBuffers::new(),
        }
    }

    /// The same decoder on so many threads.
    pub fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// The same decoder with other instructions.
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.instructions = instructions;
        self
    }

    /// The same decoder with another scale.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `scale` is finite and above 0.
    pub fn with_scale(mut self, scale: f64) -> Result<Self, ProblemError> {
        self.scale = Some(check_scale(scale)?);
        Ok(self)
    }

    /// The same decoder with one sink logit a query head: it joins the softmax denominator and has no value.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless all are finite.
    pub fn with_sinks(mut self, sinks: &[f64]) -> Result<Self, ProblemError> {
        self.sinks = Some(check_sinks(sinks)?);
        Ok(self)
    }

    /// Output and saliencies that the newest query of each head of a group gives to all cached tokens: `query` of shape
    /// (group_size, head_dim).
    ///
    /// # Errors
    /// [`ProblemError`] where an axis is empty, `query` does not fit the cache or the sinks, or an element is NaN or
    /// infinite.
    pub fn step<'a>(&'a mut self, cache: &'a Cache<T>, query: ArrayView2<T>) -> Result<Step<'a, T>, ProblemError> {
        check_tensor("query", &["group_size", "head_dim"], &query)?;
        let found = query.ncols();
        check_axis("query", "head_dim", found, cache.head_dim(), "head_dim of the cache")?;
        if let Some(sinks) = &self.sinks {
            check_axis("query", "group_size", query.nrows(), sinks.len(), "number of sinks")?;
        }
        if cache.kv_len() == 0 {
            return Err(ProblemError::Empty {
                tensor: "key",
                axis: "kv_len",
            });
        }
        let scale = self.scale.unwrap_or(1.0 / (cache.head_dim() as f64).sqrt());
        self.instructions.run(Decoding {
            decoder: self,
            cache,
            query,
            scale,
        });
        Ok(Step {
            cache,
            found: &self.buffers.found,
            instructions: self.instructions,
            threads: self.threads,
            scale,
            sinks: self.sinks.as_deref(),
        })
    }
}

/// A step on the vectors that this processor has.
pub(crate) struct Decoding<'a, T> {
    pub decoder: &'a mut Decoder<T>,
    pub cache: &'a Cache<T>,
    pub query: ArrayView2<'a, T>,
    pub scale: f64,
}

impl<T: Element> WithSimd for Decoding<'_, T> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Decoder {
            threads,
            instructions: _,
            scale: _,
            sinks,
            buffers,
        } = self.decoder;
        let passes = Passes {
            simd,
            threads: *threads,
            cache: self.cache,
            heads: self.query.nrows(),
            sinks: sinks.as_deref(),
        };
        passes.load(buffers, &self.query, self.scale);
        passes.meet(buffers);
        passes.set_apart(buffers);
        passes.mix(buffers);
        passes.finish(buffers);
        passes.measure(buffers);
    }
}

/// The passes of one step.
struct Passes<'a, T, S> {
    simd: S,
    threads: NonZero<usize>,
    cache: &'a Cache<T>,
    heads: usize,
    sinks: Option<&'a [f64]>,
}

impl<T: Element, S: Simd> Passes<'_, T, S> {
    /// Scales the queries and makes room.
    fn load(&self, buffers: &mut StepBuffers<T>, query: &ArrayView2<T>, scale: f64) {
        let (cache, heads, zero) = (self.cache, self.heads, T::default());
        let (key_width, value_width) = (width(cache.head_dim()), width(cache.value_dim()));
        buffers.queries.clear();
        buffers.queries.resize(heads * key_width, zero);
        for (scaled, query) in buffers.queries.chunks_mut(key_width).zip(query.rows()) {
            for (scaled, q) in scaled.iter_mut().zip(query) {
                *scaled = T::from_f64(q.to_f64() * scale);
            }
        }
        let places = cache.tiles() * heads;
        buffers.largest.resize(places, [zero; 2]);
        buffers.sums.resize(places, Sums::default());
        buffers.parts.resize(places * value_width, zero);
        buffers.outputs.resize(heads * value_width, zero);
        buffers.found.make_room(cache.tiles(), heads);
        buffers.found.queries.extend(query.iter());
    }

    /// Logits of all tokens, and the two largest of each tile.
    fn meet(&self, buffers: &mut StepBuffers<T>) {
        let (simd, cache, queries) = (self.simd, self.cache, &buffers.queries);
        let logits = buffers.found.logits.chunks_mut(self.heads * T::STRIDE);
        let tiles = logits.zip(buffers.largest.chunks_mut(self.heads)).enumerate();
        let worker = || {
            |(tile, (logits, largest)): (usize, (&mut [T], &mut [[T; 2]]))| {
                let heads = logits.chunks_mut(T::STRIDE).zip(largest);
                for ((logits, largest), query) in heads.zip(queries.chunks(width(cache.head_dim()))) {
                    let (seen, rest) = logits.split_at_mut(cache.tokens(tile));
                    rest.fill(T::HIDDEN);
                    simd.vectorize(Dots {
                        keys: cache.keys(tile),
                        query,
                        logits: seen,
                    });
                    let mut met = Largest::default();
                    simd.vectorize(Meet {
                        logits,
                        columns: T::TILE,
                        tile,
                        largest: std::slice::from_mut(&mut met),
                    });
                    *largest = met.two();
                }
            }
        };
        each_in_runs(self.threads, tiles, worker);
    }

    /// Takes the first token of each head out of its logits.
    fn set_apart(&self, buffers: &mut StepBuffers<T>) {
        buffers.firsts.clear();
        buffers.others.clear();
        buffers.shifts.clear();
        for head in 0..self.heads {
            let (mut two, mut top) = ([T::HIDDEN; 2], 0);
            let largest = buffers.largest.iter().skip(head).step_by(self.heads);
            for (tile, &[first, second]) in largest.enumerate() {
                if first > two[0] {
                    let next = if second > two[0] { second } else { two[0] };
                    (two, top) = ([first, next], tile);
                } else if first > two[1] {
                    two[1] = first;
                }
            }
            let logits = &mut buffers.found.logits[(top * self.heads + head) * T::STRIDE..][..T::TILE];
            let (first, others) = set_apart(two, self.sinks.map(|sinks| sinks[head]), logits);
            // A step sees every token, and there are some: without a first, all logits overflowed, which must show.
            let (column, logit) = first.unwrap_or((0, f64::NAN));
            buffers.firsts.push((top * T::TILE + column, logit));
            buffers.others.push(others);
            buffers.shifts.push(T::from_f64(others.shift));
        }
    }

    /// Exponentials with their sums, and each tile's part of the outputs.
    fn mix(&self, buffers: &mut StepBuffers<T>) {
        let (simd, cache, heads, value_width) = (self.simd, self.cache, self.heads, width(self.cache.value_dim()));
        let (logits, shifts) = (&buffers.found.logits, &buffers.shifts);
        let inverse_unit = T::from_f64(1.0 / cache.unit());
        let sums = buffers.sums.chunks_mut(heads);
        let tiles = sums.zip(buffers.parts.chunks_mut(heads * value_width)).enumerate();
        let worker = || {
            let mut exponentials: AVec<T> = avec![T::default(); heads * T::STRIDE];
            move |(tile, (sums, parts)): (usize, (&mut [Sums<T>], &mut [T]))| {
                simd.vectorize(Exponentials {
                    logits: &logits[tile * heads * T::STRIDE..][..heads * T::STRIDE],
                    exponentials: &mut exponentials,
                    columns: T::TILE,
                    shifts,
                    sums,
                });
                let weights = exponentials.chunks(T::STRIDE);
                for (weights, output) in weights.zip(parts.chunks_mut(value_width)) {
                    output.fill(T::default());
                    simd.vectorize(Mix {
                        values: cache.values(tile),
                        weights,
                        inverse_unit,
                        output,
                    });
                }
            }
        };
        each_in_runs(self.threads, tiles, worker);
    }

    /// Outputs and log-sum-exps, and what pass 3 needs of each head.
    fn finish(&self, buffers: &mut StepBuffers<T>) {
        let (cache, heads, value_width) = (self.cache, self.heads, width(self.cache.value_dim()));
        let unit = cache.unit();
        let zeros = vec![0.0; value_width];
        let found = &mut buffers.found;
        for (head, output) in buffers.outputs.chunks_mut(value_width).enumerate() {
            let mut others = buffers.others[head];
            for sums in buffers.sums.iter().skip(head).step_by(heads) {
                others.sum += sums.sum.to_f64();
                others.moment += sums.moment.to_f64();
            }
            let mut sum = zeros.clone();
            for part in buffers.parts.chunks(value_width).skip(head).step_by(heads) {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part.to_f64());
            }
            output.iter_mut().zip(sum).for_each(|(o, sum)| *o = T::from_f64(sum));
            let (token, logit) = buffers.firsts[head];
            let value = cache.value(token).iter().map(|v| T::from_f64(v.to_f64() / unit));
            let value: Vec<T> = value.collect();
            let weights = Weights::new(logit, others, 0.0, self.sinks.map(|sinks| sinks[head]));
            let plain = &mut found.outputs;
            let gap = self
                .simd
                .vectorize(|| Gap::new(self.simd, &value, &weights, output, plain, (&zeros, unit)));
            found.rows.push(QueryTerms::new(&weights, &gap));
            found.log_sum_exp.push(weights.log_sum_exp);
            found.firsts.push((token, gap.contributions(&weights, logit)));
        }
    }

    /// Distances of all values from the outputs, from the last tile to the first.
    fn measure(&self, buffers: &mut StepBuffers<T>) {
        let (simd, cache, value_width) = (self.simd, self.cache, width(self.cache.value_dim()));
        let (found, outputs) = (&mut buffers.found, &buffers.outputs);
        let inverse_unit = T::from_f64(1.0 / cache.unit());
        let squared = found.squared.chunks_mut(self.heads * T::STRIDE);
        let along_output = found.along_output.chunks_mut(self.heads * T::STRIDE);
        let worker = || {
            |(tile, (squared, along_output)): (usize, (&mut [T], &mut [T]))| {
                let heads = squared.chunks_mut(T::STRIDE).zip(along_output.chunks_mut(T::STRIDE));
                for ((squared, along_output), output) in heads.zip(outputs.chunks(value_width)) {
                    simd.vectorize(Gaps {
                        values: cache.values(tile),
                        output,
                        inverse_unit,
                        squared,
                        along_output,
                    });
                }
            }
        };
        each_in_runs(self.threads, squared.zip(along_output).enumerate().rev(), worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_keeps_what_it_was_told() {
        let three = NonZero::new(3).unwrap();
        let decoder = Decoder::<f32>::new()
            .with_threads(three)
            .with_instructions(Instructions::scalar());
        assert_eq!((decoder.threads, decoder.instructions), (three, Instructions::scalar()));
    }
}
