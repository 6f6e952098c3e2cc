//! The columns of a tile of tokens under the one query of a decode step.

use pulp::{Simd, WithSimd};

use crate::columns::{Column, columns};
use crate::element::Element;
use crate::lanes::{MOST_LANES, Vector};
use crate::pair::{Distances, Pairs};
use crate::pair_sums::PairSums;
use crate::query_terms::QueryTerms;

/// The columns of a tile, from what the passes of a step left.
pub(crate) struct TileColumns<'a, T> {
    /// ‖v - o‖² and o·(v - o) in units, shape (TILE) each.
    pub squared: &'a [T],
    pub along_output: &'a [T],
    /// Shape (TILE), filled up with hidden ones.
    pub logits: &'a [T],
    pub row: &'a QueryTerms<T>,
    /// ‖v‖² and ‖v‖₁ as they came, shape (tokens) each.
    pub norms: [&'a [f64]; 2],
    /// What values are measured in.
    pub unit: f64,
    /// In units, shape (COLUMNS, TILE).
    pub columns: &'a mut [T],
}

impl<T: Element> WithSimd for TileColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = Vector::splat(simd, T::default());
        let [of_norm, of_one_norm] =
            [Column::Value, Column::ValueOneNorm].map(|column| column.measure(1.0 / self.unit));
        let [norms, one_norms] = self.norms;
        for first in (0..norms.len()).step_by(MOST_LANES) {
            let norm = group(&norms[first..], of_norm);
            let one_norm = group(&one_norms[first..], of_one_norm);
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
                let norms = [Vector::load(simd, &norm[lane..]), Vector::load(simd, &one_norm[lane..])];
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
