//! The passes of a decode step over the rows of a cache as they lie in memory: each number is read once a pass, and no
//! pass does more with it than the memory leaves time for.
//!
//! Rows, queries and outputs are as wide as a whole number of registers, filled up with zeros. A tile is read in four places
//! at once: the memory reads ahead from each, and no sum waits for another.

use std::array;

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::lanes::Vector;

/// Places of a tile that are read at once.
const PLACES: usize = 4;

/// What a pass does with the rows of a tile.
trait Pass {
    /// Takes the rows of some tokens.
    fn take<S: Simd, const N: usize>(&mut self, simd: S, tokens: [usize; N]);

    /// Takes the rows of so many tokens.
    #[inline(always)]
    fn take_all<S: Simd>(&mut self, simd: S, tokens: usize) {
        let part = tokens / PLACES;
        for token in 0..part {
            self.take::<S, PLACES>(simd, array::from_fn(|place| place * part + token));
        }
        for token in PLACES * part..tokens {
            self.take(simd, [token]);
        }
    }
}

/// The rows of some tokens, a vector of each at a time.
#[inline(always)]
fn vectors<T: Element, S: Simd, const N: usize>(
    simd: S,
    rows: &[T],
    width: usize,
    tokens: [usize; N],
) -> impl Iterator<Item = [Vector<T, S>; N]> {
    let registers = width / Vector::<T, S>::LANES;
    let rows: [_; N] = array::from_fn(|place| {
        let row = &rows[tokens[place] * width..][..width];
        &T::registers::<S>(row)[..registers]
    });
    (0..registers).map(move |register| {
        array::from_fn(|place| Vector {
            simd,
            register: rows[place][register],
        })
    })
}

/// `logits[token] = keys[token]·query`.
pub(crate) struct Dots<'a, T> {
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.take_all(simd, self.logits.len());
    }
}

impl<T: Element> Pass for Dots<'_, T> {
    #[inline(always)]
    fn take<S: Simd, const N: usize>(&mut self, simd: S, tokens: [usize; N]) {
        let mut sums = [Vector::splat(simd, T::default()); N];
        let keys = vectors(simd, self.keys, self.query.len(), tokens);
        for (k, q) in keys.zip(Vector::all(simd, self.query)) {
            for token in 0..N {
                sums[token] = k[token].mul_add(q, sums[token]);
            }
        }
        for (token, sum) in tokens.into_iter().zip(sums) {
            self.logits[token] = sum.sum();
        }
    }
}

/// `output += sum over tokens of weights[token] values[token] / unit`.
pub(crate) struct Mix<'a, T> {
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.take_all(simd, self.values.len() / self.output.len());
    }
}

impl<T: Element> Pass for Mix<'_, T> {
    #[inline(always)]
    fn take<S: Simd, const N: usize>(&mut self, simd: S, tokens: [usize; N]) {
        let inverse_unit = Vector::splat(simd, self.inverse_unit);
        let weights: [_; N] = array::from_fn(|place| Vector::splat(simd, self.weights[tokens[place]]));
        let values = vectors(simd, self.values, self.output.len(), tokens);
        for (v, output) in values.zip(T::registers_mut::<S>(self.output)) {
            let mut sum = inverse_unit.with(*output);
            for token in 0..N {
                sum = (v[token] * inverse_unit).mul_add(weights[token], sum);
            }
            *output = sum.register;
        }
    }
}

/// ‖v - o‖² and o·(v - o) in units, from the differences: nothing cancels but what the values themselves share.
pub(crate) struct Gaps<'a, T> {
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.take_all(simd, self.values.len() / self.output.len());
    }
}

impl<T: Element> Pass for Gaps<'_, T> {
    #[inline(always)]
    fn take<S: Simd, const N: usize>(&mut self, simd: S, tokens: [usize; N]) {
        let inverse_unit = Vector::splat(simd, self.inverse_unit);
        let zeros = [Vector::splat(simd, T::default()); N];
        let (mut far, mut along) = (zeros, zeros);
        let values = vectors(simd, self.values, self.output.len(), tokens);
        for (v, output) in values.zip(Vector::all(simd, self.output)) {
            for token in 0..N {
                let gap = v[token] * inverse_unit - output;
                far[token] = gap.mul_add(gap, far[token]);
                along[token] = gap.mul_add(output, along[token]);
            }
        }
        for ((token, far), along) in tokens.into_iter().zip(far).zip(along) {
            self.squared[token] = far.sum();
            self.along_output[token] = along.sum();
        }
    }
}
