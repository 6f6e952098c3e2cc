//! The passes of a decode step over the rows of a cache as they lie in memory: each number is read once a pass, and no
//! pass does more with it than the memory leaves time for.
//!
//! Rows, queries and outputs are as wide as a whole number of registers, filled up with zeros.

use pulp::{Simd, WithSimd};

use super::columns::{columns, units};
use super::element::Element;
use super::lanes::{MOST_LANES, Vector};
use super::pair::{Distances, Pairs};
use super::pair_sums::PairSums;
use super::row::Row;

/// `logits[token] = keys[token]·query`.
pub(super) struct Dots<'a, T> {
    /// Shape (tokens, width).
    pub keys: &'a [T],
    /// Shape (width).
    pub query: &'a [T],
    /// Shape (tokens).
    pub logits: &'a mut [T],
}

impl<T: Element> WithSimd for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (key, logit) in self.keys.chunks_exact(self.query.len()).zip(self.logits) {
            let mut sum = Vector::splat(simd, T::default());
            for (k, q) in Vector::all(simd, key).zip(Vector::all(simd, self.query)) {
                sum = k.mul_add(q, sum);
            }
            *logit = sum.sum();
        }
    }
}

/// `output += sum over tokens of weights[token] values[token] / unit`.
pub(super) struct Mix<'a, T> {
    /// Shape (tokens, width).
    pub values: &'a [T],
    /// Shape (tokens).
    pub weights: &'a [T],
    /// 1 / unit.
    pub inverse_unit: T,
    /// Shape (width).
    pub output: &'a mut [T],
}

impl<T: Element> WithSimd for Mix<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let inverse_unit = Vector::splat(simd, self.inverse_unit);
        for (value, &weight) in self.values.chunks_exact(self.output.len()).zip(self.weights) {
            let weight = Vector::splat(simd, weight);
            let outputs = T::registers_mut::<S>(self.output);
            for (v, output) in Vector::all(simd, value).zip(outputs) {
                *output = (v * inverse_unit).mul_add(weight, v.with(*output)).register;
            }
        }
    }
}

/// ‖v - o‖² and o·(v - o) in units, from the differences: nothing cancels but what the values themselves share.
pub(super) struct Gaps<'a, T> {
    /// Shape (tokens, width).
    pub values: &'a [T],
    /// In units, shape (width).
    pub output: &'a [T],
    /// 1 / unit.
    pub inverse_unit: T,
    /// Shape (tokens) each.
    pub squared: &'a mut [T],
    pub along_output: &'a mut [T],
}

impl<T: Element> WithSimd for Gaps<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = Vector::splat(simd, T::default());
        let inverse_unit = Vector::splat(simd, self.inverse_unit);
        let rows = self.values.chunks_exact(self.output.len());
        for ((value, squared), along_output) in rows.zip(self.squared).zip(self.along_output) {
            let (mut far, mut along) = (zero, zero);
            for (v, output) in Vector::all(simd, value).zip(Vector::all(simd, self.output)) {
                let gap = v * inverse_unit - output;
                far = gap.mul_add(gap, far);
                along = gap.mul_add(output, along);
            }
            *squared = far.sum();
            *along_output = along.sum();
        }
    }
}

/// The columns of a tile of tokens.
pub(super) struct Columns<'a, T> {
    /// ‖v - o‖² and o·(v - o) in units, shape (TILE) each.
    pub squared: &'a [T],
    pub along_output: &'a [T],
    /// Shape (TILE), filled up with hidden ones.
    pub logits: &'a [T],
    pub row: &'a Row<T>,
    /// ‖v‖² and ‖v‖₁ as they came, shape (tokens) each.
    pub norms: [&'a [f64]; 2],
    /// What values are measured in.
    pub unit: f64,
    /// In units, shape (COLUMNS, TILE).
    pub columns: &'a mut [T],
}

impl<T: Element> WithSimd for Columns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = Vector::splat(simd, T::default());
        let inverses = units(1.0 / self.unit);
        for first in (0..self.norms[0].len()).step_by(MOST_LANES) {
            let norms = [0, 1].map(|which| group(&self.norms[which][first..], inverses[1 + which]));
            for lane in (0..MOST_LANES).step_by(Vector::<T, S>::LANES) {
                let at = |numbers: &[T]| Vector::load(simd, &numbers[first + lane..]);
                let (squared, along_output) = (at(self.squared), at(self.along_output));
                let distances = Distances {
                    squared,
                    along_value: squared + along_output,
                    along_output,
                };
                let mut sums = PairSums::all(zero);
                let logits = at(self.logits);
                let pairs = Pairs::new(logits, Pairs::weight(logits, self.row), self.row);
                pairs.add(self.row, &distances, &mut sums);
                let norms = norms.each_ref().map(|norms| Vector::load(simd, &norms[lane..]));
                let found = columns(sums, norms, |sum| zero.where_or(zero.above(sum), sum));
                for (column, found) in self.columns.chunks_mut(T::TILE).zip(found) {
                    found.store(&mut column[first + lane..]);
                }
            }
        }
    }
}

/// The first numbers of a slice, times a factor; 0 where there are no more.
#[inline(always)]
fn group<T: Element>(numbers: &[f64], factor: f64) -> [T; MOST_LANES] {
    let mut group = [T::default(); MOST_LANES];
    if let Some(numbers) = numbers.first_chunk::<MOST_LANES>() {
        for lane in 0..MOST_LANES {
            group[lane] = T::from_f64(factor * numbers[lane]);
        }
    } else {
        let places = group.iter_mut().zip(numbers);
        places.for_each(|(place, number)| *place = T::from_f64(factor * number));
    }
    group
}
