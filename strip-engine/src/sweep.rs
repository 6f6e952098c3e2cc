//! One sweep over a tile turns logits and products v·o into every column sum.
//!
//! With everything centred:
//!
//! ```text
//! D = ‖v - o‖² = ‖v‖² + ‖o‖² - 2 v·o        C = v·(v - o) = D/2 + (‖v‖²/2 + mean·v) - (‖o‖²/2 + mean·o)
//! ```
//! D cancels where v is close to o: where it is less than a part of ‖v‖² + ‖o‖² it is taken from the differences
//! instead, channel by channel.

use std::time::{Duration, Instant};

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::lanes::Vector;
use crate::pair::{Distances, Pairs};
use crate::pair_sums::{PairSums, SUMS};
use crate::query_terms::QueryTerms;
use crate::tiling::HEIGHT;

/// Below this part of ‖v‖² + ‖o‖², ‖v - o‖² is recomputed. The expansion is off by at most about (value_dim + 4) u
/// (‖v‖² + ‖o‖²), hence relatively by 4 (value_dim + 4) u at worst.
const CANCELLED: f64 = 1.0 / 4.0;

/// One tile of pairs against the block's column sums.
pub(crate) struct Sweep<'a, T> {
    /// Stored logits, shape (rows, STRIDE).
    pub logits: &'a [T],
    /// v·o, shape (rows, STRIDE).
    pub products: &'a [T],
    /// Tokens of the tile to go over.
    pub columns: usize,
    pub rows: &'a [QueryTerms<T>],
    /// Of the tile's tokens.
    pub norms: &'a [T],
    pub halves: &'a [T],
    /// Packed values, shape (TILE, value_dim), and packed outputs, shape (rows, value_dim), for what cancels.
    pub values: &'a [T],
    pub outputs: &'a [T],
    /// Shape (SUMS, TILE).
    pub sums: &'a mut [T],
}

impl<T: Element> WithSimd for Sweep<'_, T> {
    /// Time that went into recomputing.
    type Output = Duration;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Duration {
        let mut recomputing = Duration::ZERO;
        let mut weights = [Vector::splat(simd, T::default()); HEIGHT];
        for column in (0..self.columns).step_by(Vector::<T, S>::LANES) {
            let (mut sums, least) = self.column::<S, false>(simd, column, &mut weights);
            if least.least() < T::default() {
                let start = Instant::now();
                sums = self.column::<S, true>(simd, column, &mut weights).0;
                recomputing += start.elapsed();
            }
            for (all, sum) in self.sums.chunks_mut(T::TILE).zip(sums.into_array()) {
                sum.store(&mut all[column..]);
            }
        }
        recomputing
    }
}

impl<T: Element> Sweep<'_, T> {
    /// Sums of a vector of tokens from `column` on, on top of those there are, and the least margin by which ‖v - o‖²
    /// stood above cancellation. `CAREFUL` recomputes what cancelled. `weights` is room for those of the rows.
    #[inline(always)]
    fn column<S: Simd, const CAREFUL: bool>(
        &self,
        simd: S,
        column: usize,
        weights: &mut [Vector<T, S>; HEIGHT],
    ) -> (PairSums<Vector<T, S>>, Vector<T, S>) {
        let at = |numbers: &[T]| Vector::load(simd, &numbers[column..]);
        let splat = |number: T| Vector::splat(simd, number);
        let [zero, one] = [T::default(), T::UNIT].map(splat);
        let [minus_two, half, cancelled] = [-2.0, 0.5, CANCELLED].map(|number| splat(T::from_f64(number)));
        let (norm, own_half) = (at(self.norms), at(self.halves));
        let mut sums = [zero; SUMS];
        for (sum, all) in sums.iter_mut().zip(self.sums.chunks(T::TILE)) {
            *sum = at(all);
        }
        let mut sums = PairSums::from_array(sums);
        let mut least = one;
        // Ahead of the sums: the processor looks only so far, and an exponential is a long chain.
        for ((weight, row), logits) in weights.iter_mut().zip(self.rows).zip(self.logits.chunks(T::STRIDE)) {
            *weight = Pairs::weight(at(logits), row);
        }
        let pairs = self.logits.chunks(T::STRIDE).zip(self.products.chunks(T::STRIDE));
        let rows = self.rows.iter().zip(weights.iter()).enumerate();
        for ((index, (row, &weight)), (logits, products)) in rows.zip(pairs) {
            let pair = Pairs::new(at(logits), weight, row);
            let both = norm + splat(row.norm);
            let mut distance = at(products).mul_add(minus_two, both);
            let margin = both.mul_from(cancelled, distance);
            if CAREFUL {
                self.recompute((index, column), &mut distance, margin);
            } else {
                least = least.min(margin.where_or(pair.seen, one));
            }
            let halves = own_half - splat(row.half);
            let distances = Distances {
                squared: distance,
                along_value: distance.mul_add(half, halves),
                along_output: distance.mul_from(half, halves),
            };
            pair.add(row, &distances, &mut sums);
        }
        (sums, least)
    }

    /// Takes `distance` from the differences in the lanes whose margin is below 0.
    #[inline(never)]
    fn recompute<S: Simd>(&self, (row, column): (usize, usize), distance: &mut Vector<T, S>, mut margin: Vector<T, S>) {
        let channels = self.outputs.len() / self.rows.len();
        let output = &self.outputs[row * channels..][..channels];
        for (lane, (distance, margin)) in distance.lanes().iter_mut().zip(margin.lanes()).enumerate() {
            if *margin < T::default() {
                *distance = squared_distance(output, &self.values[(column + lane) * channels..][..channels]);
            }
        }
    }
}

/// ‖v - o‖² from the differences, in a fixed order of 16 partial sums.
fn squared_distance<T: Element>(output: &[T], value: &[T]) -> T {
    let mut sums = [0.0; 16];
    for (output, value) in output.chunks(16).zip(value.chunks(16)) {
        for ((sum, o), v) in sums.iter_mut().zip(output).zip(value) {
            let gap = v.to_f64() - o.to_f64();
            *sum += gap * gap;
        }
    }
    T::from_f64(sums.iter().sum())
}
