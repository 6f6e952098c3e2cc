//! Root-mean-square norm: a row over the root of its mean square, times a weight a channel.

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use rayon::prelude::*;

use crate::Number;

/// One norm of a model.
#[derive(Debug, Clone)]
pub(crate) struct Norm<T> {
    pub weight: Array1<T>,
    pub epsilon: f64,
}

impl<T: Number> Norm<T> {
    /// Every row of `rows`, shape (tokens, channels).
    pub fn apply(&self, rows: &Array2<T>) -> Array2<T> {
        let mut normed = rows.as_standard_layout().into_owned();
        let numbers = normed.as_slice_mut().expect("a copy in standard layout");
        let rows = numbers.par_chunks_mut(self.weight.len());
        rows.for_each(|row| self.apply_row(ArrayViewMut1::from(row)));
        normed
    }

    /// One row in place.
    pub fn apply_row(&self, mut row: ArrayViewMut1<T>) {
        let inverse = T::from_f64(1.0 / (mean_square(row.view()) + self.epsilon).sqrt());
        row.zip_mut_with(&self.weight, |x, &weight| *x = weight * (*x * inverse));
    }
}

/// Summed in 64 bits.
fn mean_square<T: Number>(row: ArrayView1<T>) -> f64 {
    let sum: f64 = row.iter().map(|x| x.to_f64() * x.to_f64()).sum();
    sum / row.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Mean square of (1, 7) is 25, its root's inverse 0.2.
        let norm = Norm {
            weight: array![1.0, 2.0],
            epsilon: 0.0,
        };
        assert_eq!(
            norm.apply(&array![[1.0, 7.0], [0.0, 0.0]]).row(0),
            array![0.2, 2.0 * (7.0 * 0.2)]
        );
        let norm = Norm {
            weight: array![1.0, 2.0],
            epsilon: 1e-6,
        };
        assert_eq!(norm.apply(&array![[0.0, 0.0]]), array![[0.0, 0.0]]);
    }
}
