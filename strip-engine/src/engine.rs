//! The engine: every column for every cached token, over all queries, without a number for every pair.
//!
//! A trace keeps a weight for each pair of query i and token j, n² numbers, and sums afterwards. The engine takes few queries
//! at a time, computes their pairs, adds them to the sums of the tokens, and forgets them:
//!
//! ```text
//! pack        lay keys and values out in tiles of tokens; take out what all tokens share       packed.rs
//! for each query head, for each block of 256 queries, on any thread                            engine.rs, turns.rs
//!   for each strip of at most 128 queries of the block                                         block.rs, strip.rs
//!     1  for each tile     S = Q K^T             and the two largest logits of each query
//!        the largest logit of each query, its *first* token, is set apart                      weights.rs, first.rs
//!     2  for each tile     E = e^(S - shift)     sums of E and of x E;  O += E V               softmax.rs, exp.rs
//!        finish            O and log-sum-exp; what a pair needs to know of its query           query_terms.rs
//!     3  for each tile     H = V O^T             and one sweep over S and H:                   sweep.rs
//!          for each vector of tokens, for each query of the strip                              pair.rs
//!             a = e^(s - shift) times the query's unit weight
//!             D = ‖v - o‖² = ‖v‖² + ‖o‖² - 2 h
//!             add a, a², a² f² D, a² f v·(v - o), ... to the eleven sums of the token          pair_sums.rs
//!   add the block's sums to those of its head, in 64 bits, in the order of the blocks          totals.rs
//! for each token       thirteen columns from eleven sums and two norms of its value            columns.rs
//! ```
//!
//! Why it is done so:
//!
//! - *Three products, one sweep.* Whatever is asked of a pair follows from its logit, its weight and v·o. The first two products
//!   give the output o, the third gives v·o for all pairs, and each runs at the speed of a matrix product.
//! - *S is kept for a strip, E and H for a tile.* A strip's logits are all the memory that grows with the tokens. Recomputing an
//!   exponential in the sweep costs less than reading it back.
//! - *The first token is set apart.* Only it can weigh more than 1/2, and 1 - a, which removal divides by, loses its digits where
//!   a nears 1. So 1 - a is summed from the others, in 64 bits (C12).
//! - *Keys and values are centred.* A vector subtracted from all keys, or from all values, changes no weight and no v - o (C14),
//!   and what all tokens share would cost digits in every product.
//! - *D is checked.* Where v is close to o the expansion cancels; such pairs are computed again from the differences.
//! - *Blocks are added in their order, whatever thread made them.* So neither the threads nor the height of a strip moves a bit.
//!
//! `docs/strip.md` has the errors and the measurements.

use std::num::NonZero;
use std::ops::Range;
use std::sync::PoisonError;
use std::thread::available_parallelism;

use pulp::{Simd, WithSimd};

use crate::block_sums::BlockSums;
use crate::buffers::Buffers;
use crate::element::Element;
use crate::instructions::Instructions;
use crate::memory;
use crate::parallel::each;
use crate::problem::Problem;
use crate::profile::{Clock, Profile};
use crate::saliencies::Saliencies;
use crate::sizes::Sizes;
use crate::tiling::{BLOCK, HEIGHT, height};
use crate::totals::Totals;
use crate::turns::Turns;

/// How the work is laid out. Neither the threads nor the height of a strip moves a bit of the result; the instructions may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    threads: NonZero<usize>,
    /// As high as [`height`] finds where none is asked for.
    strip_height: Option<NonZero<usize>>,
    instructions: Instructions,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine on all cores with the widest instructions, and strips of [`HEIGHT`] queries, or of as many as 34 MiB of logits
    /// hold where that is less.
    pub fn new() -> Self {
        Self {
            threads: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            strip_height: None,
            instructions: Instructions::widest(),
        }
    }

    /// The same engine on so many threads.
    pub fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// The same engine with strips of so many queries, at most [`HEIGHT`]: lower strips need less memory and more time.
    pub fn with_strip_height(mut self, height: NonZero<usize>) -> Self {
        self.strip_height = Some(height);
        self
    }

    /// The same engine with other instructions.
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.instructions = instructions;
        self
    }

    /// Bytes that a run takes at most beyond the inputs, results included; left out are the threads' stacks, and the buffers
    /// that the matrix products reserve of each thread, of which they touch little.
    pub fn memory<T: Element>(&self, problem: &Problem<T>) -> usize {
        memory::bytes(problem, &self.sizes(problem))
    }

    fn sizes<T: Element>(&self, problem: &Problem<T>) -> Sizes {
        Sizes::new(problem, self.threads.get(), self.height(problem))
    }

    /// Queries of a strip.
    fn height<T: Element>(&self, problem: &Problem<T>) -> usize {
        self.strip_height
            .map_or_else(|| height(problem), |height| height.get().min(HEIGHT))
    }

    /// Output and column sums of every query head of `problem`, in the order of the heads.
    pub fn run<T: Element>(&self, problem: &Problem<T>) -> Vec<Saliencies<T>> {
        self.run_in(&mut Buffers::new(), problem, &|| {}).0
    }

    /// As [`Engine::run`], in buffers that earlier runs may have left and later ones may take over, with where the time went;
    /// `observe` is called, from whichever thread, after every one of [`Engine::blocks`].
    pub fn run_in<T: Element>(
        &self,
        buffers: &mut Buffers<T>,
        problem: &Problem<T>,
        observe: &(dyn Fn() + Sync),
    ) -> (Vec<Saliencies<T>>, Profile) {
        self.instructions.run(Run {
            engine: self,
            buffers,
            problem,
            observe,
        })
    }

    /// Blocks of queries that a run over `problem` goes through, heads and all.
    pub fn blocks<T: Element>(&self, problem: &Problem<T>) -> usize {
        problem.group_size() * blocks(problem.queries()).len()
    }

    fn run_with<S: Simd, T: Element>(
        &self,
        simd: S,
        buffers: &mut Buffers<T>,
        problem: &Problem<T>,
        observe: &(dyn Fn() + Sync),
    ) -> (Vec<Saliencies<T>>, Profile) {
        let mut clock = Clock::start();
        let sizes = self.sizes(problem);
        buffers.fit(sizes);
        buffers.packed.pack(simd, problem, sizes.threads);
        let (packed, room, spare) = (&buffers.packed, buffers.sizes, &buffers.blocks);
        clock.was(|profile| &mut profile.packing);
        let window = problem.queries();
        let tasks: Vec<_> = (0..problem.group_size())
            .flat_map(|head| blocks(window.clone()).map(move |queries| (head, queries)))
            .collect();
        let heads = (0..problem.group_size()).map(|_| Totals::new(packed, (window.len(), problem.value_dim())));
        let joined: (Vec<Totals<T>>, Profile) = (heads.collect(), clock.profile);
        let turns = Turns::new(self.threads.get(), joined);
        let lock = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        let workspaces = buffers.workspaces.iter_mut().take(sizes.threads);
        let workers = workspaces.map(|workspace| {
            let (turns, tasks, window, lock) = (&turns, &tasks, &window, &lock);
            move |(number, task): (usize, &(usize, Range<usize>))| {
                let make = || {
                    let mut sums = lock().pop().unwrap_or_else(|| BlockSums::new(&room));
                    workspace.block(simd, problem, packed, task.clone(), &mut sums);
                    (sums, workspace.clock.profile)
                };
                turns.take(number, make, |(heads, profile), number, (sums, of_block)| {
                    let mut clock = Clock::start();
                    let (head, queries) = &tasks[number];
                    simd.vectorize(|| heads[*head].add(&sums, queries.start - window.start));
                    lock().push(sums);
                    clock.was(|profile| &mut profile.rest);
                    *profile = profile.and(of_block).and(clock.profile);
                });
                observe();
            }
        });
        each(1, tasks.iter().enumerate(), workers);
        let (heads, profile) = turns.into_joined();
        let saliencies = heads.into_iter().map(|totals| totals.saliencies(packed));
        (saliencies.collect(), profile)
    }
}

/// The blocks of a head's queries, the last ones first: under causal order they are the longest, and what the threads
/// end on are the shortest.
fn blocks(queries: Range<usize>) -> impl ExactSizeIterator<Item = Range<usize>> {
    let starts: Vec<_> = queries.clone().step_by(BLOCK).collect();
    starts
        .into_iter()
        .rev()
        .map(move |start| start..queries.end.min(start + BLOCK))
}

/// A run on the vectors that this processor has.
pub(crate) struct Run<'a, 'p, T: Element> {
    pub engine: &'a Engine,
    pub buffers: &'a mut Buffers<T>,
    pub problem: &'a Problem<'p, T>,
    pub observe: &'a (dyn Fn() + Sync),
}

impl<T: Element> WithSimd for Run<'_, '_, T> {
    type Output = (Vec<Saliencies<T>>, Profile);

    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        self.engine.run_with(simd, self.buffers, self.problem, self.observe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_engine_keeps_what_it_was_told() {
        let [three, forty] = [3, 40].map(|count| NonZero::new(count).unwrap());
        let scalar = Instructions::scalar();
        let engine = Engine::new().with_threads(three).with_strip_height(forty);
        let engine = engine.with_instructions(scalar);
        assert_eq!((engine.threads, engine.strip_height), (three, Some(forty)));
        assert_eq!(engine.instructions, scalar);

        let (query, key) = (Array3::<f32>::zeros((2, 300, 3)), Array2::<f32>::zeros((500, 3)));
        let problem = Problem::new(query.view(), key.view(), key.view()).unwrap();
        assert_eq!((engine.height(&problem), Engine::new().height(&problem)), (40, HEIGHT));
        assert_eq!(engine.with_strip_height(NonZero::<usize>::MAX).height(&problem), HEIGHT);
        assert_eq!(
            engine.memory(&problem),
            memory::bytes(&problem, &Sizes::new(&problem, 3, 40))
        );
    }

    #[test]
    fn every_block_is_observed() {
        let (query, key) = (Array3::<f32>::zeros((2, 600, 3)), Array2::<f32>::zeros((600, 3)));
        let problem = Problem::new(query.view(), key.view(), key.view()).unwrap();
        let observed = AtomicUsize::new(0);
        let engine = Engine::new();
        engine.run_in(&mut Buffers::new(), &problem, &|| {
            _ = observed.fetch_add(1, Ordering::Relaxed)
        });
        assert_eq!((engine.blocks(&problem), observed.into_inner()), (6, 6));
    }
}
