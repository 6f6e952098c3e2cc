//! The lengths that say how much memory a run takes.

use crate::element::Element;
use crate::partial_sums::padded;
use crate::problem::Problem;
use crate::tiling::widest;

/// The lengths that say how much room a run takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
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
    pub fn hold(&self, others: &Self) -> bool {
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
    fn sizes_hold_what_is_nowhere_larger() {
        let less = Sizes {
            threads: 1,
            height: 40,
            tiles: 1,
            widest: 1,
            head_dim: 1,
            value_dim: 0,
        };
        assert!(SIZES.hold(&SIZES) && SIZES.hold(&less));
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
    }
}
