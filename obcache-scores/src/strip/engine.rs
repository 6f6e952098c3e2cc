//! The engine: strips of queries, all scores in one pass over each.

use std::num::NonZero;
use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;

use pulp::{Arch, Simd, WithSimd};

use super::block::{BLOCK, BlockSums, Workspace};
use super::packed::Packed;
use super::parallel::each;
use super::profile::{Clock, Profile};
use super::totals::{InOrder, Totals};
use super::{Element, Problem, Saliencies, memory};

/// How the work is laid out. Neither number moves a bit of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    threads: NonZero<usize>,
    strip_height: NonZero<usize>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine on all cores, with strips of [`BLOCK`] queries.
    pub fn new() -> Self {
        Self {
            threads: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            strip_height: NonZero::new(BLOCK).unwrap_or(NonZero::<usize>::MIN),
        }
    }

    /// The same engine on so many threads.
    pub fn with_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// The same engine with strips of so many queries, at most [`BLOCK`]: lower strips need less memory and more time.
    pub fn with_strip_height(mut self, height: NonZero<usize>) -> Self {
        self.strip_height = height;
        self
    }

    /// Bytes that a run takes at most beyond the inputs, results included; left out are the threads' stacks, and the buffers
    /// that the matrix products reserve of each thread, of which they touch little.
    pub fn memory<T: Element>(&self, problem: &Problem<T>) -> usize {
        memory::bytes(problem, self.threads.get(), self.height())
    }

    /// Queries of a strip.
    fn height(&self) -> usize {
        self.strip_height.get().min(BLOCK)
    }

    /// Output and column sums of every query head of `problem`, in the order of the heads.
    pub fn run<T: Element>(&self, problem: &Problem<T>) -> Vec<Saliencies<T>> {
        self.run_observed(problem, &|| {}).0
    }

    /// As [`Engine::run`], with where the time went; `observe` is called, from whichever thread, after every one of
    /// [`Engine::blocks`].
    pub fn run_observed<T: Element>(
        &self,
        problem: &Problem<T>,
        observe: &(dyn Fn() + Sync),
    ) -> (Vec<Saliencies<T>>, Profile) {
        Arch::new().dispatch(Run {
            engine: self,
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
        problem: &Problem<T>,
        observe: &(dyn Fn() + Sync),
    ) -> (Vec<Saliencies<T>>, Profile) {
        let mut clock = Clock::start();
        let packed = Packed::new(simd, problem, self.threads);
        clock.was(|profile| &mut profile.packing);
        let window = problem.queries();
        let tasks: Vec<_> = (0..problem.group_size())
            .flat_map(|head| blocks(window.clone()).map(move |queries| (head, queries)))
            .collect();
        let heads = (0..problem.group_size()).map(|_| Totals::new(&packed, (window.len(), problem.value_dim())));
        let shared = Mutex::new(Shared {
            order: InOrder::new(),
            heads: heads.collect(),
            profile: clock.profile,
        });
        let (turn, most_waiting) = (Condvar::new(), self.threads.get());
        each(self.threads, 1, tasks.iter().enumerate(), || {
            let mut workspace = Workspace::new(problem, self.height());
            let (packed, shared, turn, tasks, window) = (&packed, &shared, &turn, &tasks, &window);
            move |(number, (head, queries)): (usize, &(usize, Range<usize>))| {
                workspace.clock = Clock::start();
                let block = workspace.block(simd, problem, packed, *head, queries.clone());
                let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                // Memory is bounded: no block waits for one that is further than that behind.
                let too_early = |shared: &mut Shared<T>| number > shared.order.next() + most_waiting;
                let shared = turn.wait_while(shared, too_early);
                let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
                let Shared { order, heads, profile } = &mut *shared;
                order.take(number, block, |number, block| {
                    let (head, queries) = &tasks[number];
                    let queries = queries.start - window.start..queries.end - window.start;
                    simd.vectorize(|| heads[*head].add(block, queries));
                });
                workspace.clock.was(|profile| &mut profile.rest);
                *profile = profile.and(workspace.clock.profile);
                turn.notify_all();
                observe();
            }
        });
        let Shared { heads, profile, .. } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let saliencies = heads.into_iter().map(|totals| totals.saliencies(&packed));
        (saliencies.collect(), profile)
    }
}

/// What the threads add their blocks to.
struct Shared<T> {
    order: InOrder<BlockSums<T>>,
    heads: Vec<Totals<T>>,
    profile: Profile,
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
pub(super) struct Run<'a, 'p, T> {
    pub engine: &'a Engine,
    pub problem: &'a Problem<'p, T>,
    pub observe: &'a (dyn Fn() + Sync),
}

impl<T: Element> WithSimd for Run<'_, '_, T> {
    type Output = (Vec<Saliencies<T>>, Profile);

    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        self.engine.run_with(simd, self.problem, self.observe)
    }
}
