//! The buffers of a run, which later runs write over.

use std::sync::Mutex;

use crate::block::Workspace;
use crate::block_sums::BlockSums;
use crate::element::Element;
use crate::packed::Packed;
use crate::sizes::Sizes;

/// What runs of an [`Engine`](crate::Engine) leave to later ones: memory that the system need not hand out, page by page, again.
///
/// They are made by the first run and serve every later one whose problem is nowhere larger, for strips of the same height;
/// any other has them made anew, so that they never hold more than [`Engine::memory`](crate::Engine::memory) says of one of the
/// runs. What an earlier run left in them moves no bit of a later one.
#[derive(Debug)]
pub struct Buffers<T: Element> {
    /// What they were made for.
    pub(crate) sizes: Sizes,
    pub(crate) packed: Packed<T>,
    /// One for each thread.
    pub(crate) workspaces: Vec<Workspace<T>>,
    /// Of blocks that have been added to the sums of all.
    pub(crate) blocks: Mutex<Vec<BlockSums<T>>>,
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
    pub(crate) fn fit(&mut self, sizes: Sizes) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        threads: 2,
        height: 40,
        tiles: 3,
        widest: 2,
        head_dim: 5,
        value_dim: 8,
    };

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
        let more = Sizes { tiles: 4, ..less };
        assert_eq!(kept(more).1, more);
        assert_eq!(buffers.workspaces.len(), 1);
    }
}
