//! The passes over a tile of logits that make a softmax: the two largest of each query, and the exponentials.

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::lanes::{MOST_LANES, Vector};

/// The two largest logits that a query has met so far, lane by lane.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Largest<T> {
    first: [T; MOST_LANES],
    second: [T; MOST_LANES],
    /// The largest over all lanes, and the tile it was met in.
    top: T,
    pub tile: usize,
}

impl<T: Element> Default for Largest<T> {
    fn default() -> Self {
        let hidden = [T::HIDDEN; MOST_LANES];
        Self {
            first: hidden,
            second: hidden,
            top: T::HIDDEN,
            tile: 0,
        }
    }
}

impl<T: Element> Largest<T> {
    /// The largest logit and the largest but one.
    pub fn two(&self) -> [T; 2] {
        let mut two = [T::HIDDEN; 2];
        for &logit in self.first.iter().chain(&self.second) {
            if logit > two[0] {
                two = [logit, two[0]];
            } else if logit > two[1] {
                two[1] = logit;
            }
        }
        two
    }
}

/// Meets the logits of one more tile.
pub(crate) struct Meet<'a, T> {
    pub logits: &'a [T],
    pub columns: usize,
    pub tile: usize,
    pub largest: &'a mut [Largest<T>],
}

impl<T: Element> WithSimd for Meet<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (largest, logits) in self.largest.iter_mut().zip(self.logits.chunks(T::STRIDE)) {
            let mut first = Vector::load(simd, &largest.first);
            let mut second = Vector::load(simd, &largest.second);
            for z in Vector::all(simd, &logits[..self.columns]) {
                second = second.max(first.min(z));
                first = first.max(z);
            }
            first.store(&mut largest.first);
            second.store(&mut largest.second);
            let top = first.most();
            if top > largest.top {
                largest.top = top;
                largest.tile = self.tile;
            }
        }
    }
}

/// Sums of a query's exponentials over one tile.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums<T> {
    /// Sum of e^x.
    pub sum: T,
    /// Sum of x e^x.
    pub moment: T,
}

/// Writes e^x of every logit of a tile, x measured from its query's shift.
pub(crate) struct Exponentials<'a, T> {
    pub logits: &'a [T],
    pub exponentials: &'a mut [T],
    pub columns: usize,
    pub shifts: &'a [T],
    pub sums: &'a mut [Sums<T>],
}

impl<T: Element> WithSimd for Exponentials<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self
            .logits
            .chunks(T::STRIDE)
            .zip(self.exponentials.chunks_mut(T::STRIDE));
        for ((logits, exponentials), (&shift, sums)) in rows.zip(self.shifts.iter().zip(self.sums)) {
            let shift = Vector::splat(simd, shift);
            let mut sum = Vector::splat(simd, T::default());
            let mut moment = sum;
            let logits = Vector::<T, S>::all(simd, &logits[..self.columns]);
            for (z, exponential) in logits.zip(T::registers_mut::<S>(exponentials)) {
                let x = z - shift;
                let e = x.exp();
                sum = sum + e;
                moment = e.mul_add(x, moment);
                *exponential = e.register;
            }
            *sums = Sums {
                sum: sum.sum(),
                moment: moment.sum(),
            };
        }
    }
}
