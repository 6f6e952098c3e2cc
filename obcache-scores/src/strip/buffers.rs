//! The buffers of a run, which later runs write over.

use std::sync::Mutex;

use aligned_vec::AVec;

use super::block::{BlockSums, Workspace, widest};
use super::element::Element;
use super::packed::{Packed, padded};
use super::problem::Problem;

/// What runs of an [`Engine`](super::Engine) leave to later ones: memory that the system need not hand out, page by page, again.
///
/// They are made by the first run and serve every later one whose problem is nowhere larger, for strips of the same height;
/// any other has them made anew, so that they never hold more than [`Engine::memory`](super::Engine::memory) says of one of the
/// runs. What an earlier run left in them moves no bit of a later one.
#[derive(Debug)]
pub struct Buffers<T: Element> {
    /// What they were made for.
    pub(super) sizes: Sizes,
    pub(super) packed: Packed<T>,
    /// One for each thread.
    pub(super) workspaces: Vec<Workspace<T>>,
    /// Of blocks that have been added to the sums of all.
    pub(super) blocks: Mutex<Vec<BlockSums<T>>>,
}

impl<T: Element> Default for Buffers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Buffers<T> {
    /// No buffers yet.
    pub fn new() -> Self {
        Self::of(Sizes::default())
    }

    /// Makes room for a run of these sizes.
    pub(super) fn fit(&mut self, sizes: Sizes) {
        if !self.sizes.hold(&sizes) {
            // What there was goes first.
            *self = Self::new();
            *self = Self::of(sizes);
        }
    }

    fn of(sizes: Sizes) -> Self {
        Self {
            sizes,
            packed: Packed::new(&sizes),
            workspaces: (0..sizes.threads).map(|_| Workspace::new(&sizes)).collect(),
            blocks: Mutex::new(Vec::new()),
        }
    }
}

/// The lengths that say how much room a run takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub threads: usize,
    /// Queries of a strip at most.
    pub height: usize,
    /// Tiles of the cache.
    pub tiles: usize,
    /// Tiles that the widest block of queries sees.
    pub widest: usize,
    pub head_dim: usize,
    /// Channels of a packed value.
    pub value_dim: usize,
}

impl Sizes {
    pub fn new<T: Element>(problem: &Problem<T>, threads: usize, height: usize) -> Self {
        Self {
            threads,
            height,
            tiles: problem.kv_len().div_ceil(T::TILE),
            widest: widest(problem),
            head_dim: problem.head_dim(),
            value_dim: padded(problem.value_dim()),
        }
    }

    /// Whether there is room for the others.
    fn hold(&self, others: &Self) -> bool {
        let lengths = |sizes: &Self| {
            [
                sizes.threads,
                sizes.tiles,
                sizes.widest,
                sizes.head_dim,
                sizes.value_dim,
            ]
        };
        let mut pairs = lengths(self).into_iter().zip(lengths(others));
        self.height == others.height && pairs.all(|(own, other)| own >= other)
    }
}

/// An empty vector whose numbers will lie where vectors of registers may.
pub(super) fn with_capacity<T>(capacity: usize) -> AVec<T> {
    AVec::with_capacity(0, capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

    const SIZES: Sizes = Sizes {
        threads: 2,
        height: 40,
        tiles: 3,
        widest: 2,
        head_dim: 5,
        value_dim: 8,
    };

    #[test]
    fn sizes_are_those_of_the_problem() {
        let (query, key) = (Array3::<f32>::zeros((2, 300, 5)), Array2::<f32>::zeros((900, 5)));
        let value = Array2::<f32>::zeros((900, 7));
        let problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
        // The last 256 queries see from token 0 on; over a window of 10, from token 635 on.
        assert_eq!(Sizes::new(&problem, 2, 40), Sizes { widest: 3, ..SIZES });
        let narrow = problem.with_sliding_window(10).unwrap();
        assert_eq!(Sizes::new(&narrow, 2, 40), SIZES);
    }

    #[test]
    fn buffers_are_kept_while_a_run_fits() {
        let mut buffers = Buffers::<f32>::new();
        buffers.fit(SIZES);
        let place = buffers.packed.keys.as_ptr();
        let mut kept = |sizes: Sizes| {
            buffers.fit(sizes);
            (buffers.packed.keys.as_ptr() == place, buffers.sizes)
        };
        assert_eq!(kept(SIZES), (true, SIZES));
        let less = Sizes {
            threads: 1,
            height: 40,
            tiles: 1,
            widest: 1,
            head_dim: 1,
            value_dim: 0,
        };
        assert_eq!(kept(less), (true, SIZES));
        for more in [
            Sizes { threads: 3, ..less },
            Sizes { height: 39, ..less },
            Sizes { tiles: 4, ..less },
            Sizes { widest: 3, ..less },
            Sizes { head_dim: 6, ..less },
            Sizes { value_dim: 16, ..less },
        ] {
            assert!(!SIZES.hold(&more), "{more:?}");
        }
        let more = Sizes { tiles: 4, ..less };
        assert_eq!(kept(more).1, more);
        assert_eq!(buffers.workspaces.len(), 1);
    }
}
