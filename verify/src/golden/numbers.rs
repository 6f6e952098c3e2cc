//! Random numbers that are the same on every machine.

use golden::sha256;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of ChaCha8, seeded with a name, through no function but sums and products.
pub(super) struct Numbers(ChaCha8Rng);

impl Numbers {
    pub fn new(name: &str) -> Self {
        let mut seed = [0; 32];
        seed.copy_from_slice(&sha256(name.as_bytes()).as_bytes()[..32]);
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number in [0, 1), of 32 bits.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// A whole number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// A number of mean 0 and standard deviation about 1, at most 3.5 in size: a scaled sum of four.
    pub fn bell(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * 1.75
    }

    /// Numbers scaled by a factor of head and row.
    pub fn tensor(
        &mut self,
        heads: usize,
        rows: usize,
        channels: usize,
        factor: impl Fn(usize, usize) -> f64,
    ) -> Array3<f64> {
        Array3::from_shape_fn((heads, rows, channels), |(h, row, _)| factor(h, row) * self.bell())
    }

    /// Values whose tokens differ in length by up to a factor 16 and share a common part.
    pub fn values(&mut self, heads: usize, rows: usize, channels: usize) -> Array3<f64> {
        let lengths = Array3::from_shape_fn((heads, rows, 1), |_| [0.25, 0.5, 1.0, 2.0, 4.0][self.below(5)]);
        Array3::from_shape_fn((heads, rows, channels), |(h, row, _)| {
            lengths[[h, row, 0]] * (self.bell() + 0.5)
        })
    }

    /// A random order of `0..length`.
    pub fn order(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for last in (1..length).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        let mut numbers = Numbers::new("pinned");
        let first: Vec<u64> = (0..3).map(|_| (numbers.unit() * 4_294_967_296.0) as u64).collect();
        assert_eq!(first, [3_038_148_392, 2_019_628_742, 1_599_552_987]);
    }

    #[test]
    fn an_order_is_a_permutation() {
        let mut order = Numbers::new("order").order(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
