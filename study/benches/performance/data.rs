//! Heads of normal random numbers.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use strip_engine::{Element, Problem};

/// A storage under its name.
pub trait Number: Element {
    /// The name in tables.
    const NAME: &'static str;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
}

impl Number for f64 {
    const NAME: &'static str = "f64";
}

/// Query, key and value of one head.
pub struct Tensors<T> {
    pub query: Array2<T>,
    pub key: Array2<T>,
    pub value: Array2<T>,
}

impl<T: Number> Tensors<T> {
    /// A head with so many queries, tokens and channels; each number is the sum of 12 uniform ones, near to normal.
    pub fn new(queries: usize, tokens: usize, dim: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut rows = |rows| {
            Array2::from_shape_simple_fn((rows, dim), || {
                let quarters: [u16; 12] = rng.random();
                let sum: f64 = quarters.iter().map(|&part| f64::from(part) / 65536.0).sum();
                T::from_f64(sum - 6.0)
            })
        };
        Self {
            query: rows(queries),
            key: rows(tokens),
            value: rows(tokens),
        }
    }

    /// The head as a problem, causal.
    pub fn problem(&self) -> Problem<'_, T> {
        Problem::one_head(self.query.view(), self.key.view(), self.value.view()).expect("finite tensors that fit")
    }
}
