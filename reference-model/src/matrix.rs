//! A weight matrix in the dtype it is stored in, and its product with activations, widened a block at a time.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use half::{bf16, f16};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::Number;

/// Tokens that are multiplied together; the split does not depend on the threads, so neither do the bits.
const TOKENS: usize = 128;

/// Rows of a narrow matrix that are widened at once.
const ROWS: usize = 128;

/// What weights read from files are, and activations once they are copied.
const STANDARD: &str = "numbers in standard layout";

/// A matrix of shape (rows, columns), narrow ones as they lie in the file.
#[derive(Debug, Clone)]
pub(crate) enum Matrix<T> {
    Wide(Array2<T>),
    Bf16(Array2<bf16>),
    F16(Array2<f16>),
}

impl<T: Number> Matrix<T> {
    pub fn rows(&self) -> usize {
        match self {
            Self::Wide(matrix) => matrix.nrows(),
            Self::Bf16(matrix) => matrix.nrows(),
            Self::F16(matrix) => matrix.nrows(),
        }
    }

    fn columns(&self) -> usize {
        match self {
            Self::Wide(matrix) => matrix.ncols(),
            Self::Bf16(matrix) => matrix.ncols(),
            Self::F16(matrix) => matrix.ncols(),
        }
    }

    /// One row, widened.
    pub fn row(&self, row: usize) -> Array1<T> {
        match self {
            Self::Wide(matrix) => matrix.row(row).to_owned(),
            Self::Bf16(matrix) => matrix.row(row).map(|&x| from_bf16(x)),
            Self::F16(matrix) => matrix.row(row).map(|&x| from_f16(x)),
        }
    }

    /// All of it, widened.
    pub fn to_wide(&self) -> Array2<T> {
        match self {
            Self::Wide(matrix) => matrix.clone(),
            Self::Bf16(matrix) => matrix.map(|&x| from_bf16(x)),
            Self::F16(matrix) => matrix.map(|&x| from_f16(x)),
        }
    }

    /// `activations` (tokens, columns) times the transposed matrix: shape (tokens, rows).
    pub fn product(&self, activations: ArrayView2<T>) -> Array2<T> {
        let activations = activations.as_standard_layout();
        let activations = activations.view();
        let rows = self.rows();
        let mut product = Array2::from_elem((activations.nrows(), rows), T::default());
        let numbers = product.as_slice_mut().expect("a new array is in standard layout");
        if activations.nrows() == 1 {
            let blocks = numbers.par_chunks_mut(ROWS).enumerate();
            blocks.for_each(|(block, product)| self.multiply(block * ROWS, activations, product));
        } else {
            let chunks = numbers.par_chunks_mut(TOKENS * rows).enumerate();
            chunks.for_each(|(chunk, product)| {
                let tokens = chunk * TOKENS..chunk * TOKENS + product.len() / rows;
                self.multiply(0, activations.slice(ndarray::s![tokens, ..]), product);
            });
        }
        product
    }

    /// The columns of the product from `first` on that `product`, shape (tokens, so many), has room for.
    fn multiply(&self, first: usize, activations: ArrayView2<T>, product: &mut [T]) {
        let tokens = activations.nrows();
        let columns = product.len() / tokens;
        let mut product = MatMut::from_row_major_slice_mut(product, tokens, columns);
        let mut times = |start: usize, rows: &[T]| {
            let count = rows.len() / self.columns();
            let weights = MatRef::from_row_major_slice(rows, count, self.columns());
            let place = product.as_mut().subcols_mut(start, count);
            matmul(
                place,
                Accum::Replace,
                faer_view(&activations),
                weights.transpose(),
                T::ONE,
                Par::Seq,
            );
        };
        match self {
            Self::Wide(matrix) => {
                let rows = matrix.as_slice().expect(STANDARD);
                times(0, &rows[first * self.columns()..][..columns * self.columns()]);
            }
            Self::Bf16(matrix) => widen(matrix, first..first + columns, from_bf16, times),
            Self::F16(matrix) => widen(matrix, first..first + columns, from_f16, times),
        }
    }
}

/// Widens [`ROWS`] rows at a time and hands them over with their place in `range`.
fn widen<N: Copy, T: Number>(
    matrix: &Array2<N>,
    range: std::ops::Range<usize>,
    number: impl Fn(N) -> T,
    mut times: impl FnMut(usize, &[T]),
) {
    let mut block: Vec<T> = Vec::with_capacity(ROWS * matrix.ncols());
    let numbers = matrix.as_slice().expect(STANDARD);
    for start in range.clone().step_by(ROWS) {
        let end = range.end.min(start + ROWS);
        block.clear();
        block.extend(
            numbers[start * matrix.ncols()..end * matrix.ncols()]
                .iter()
                .map(|&x| number(x)),
        );
        times(start - range.start, &block);
    }
}

fn from_bf16<T: Number>(number: bf16) -> T {
    T::from_f64(number.to_f32().into())
}

fn from_f16<T: Number>(number: f16) -> T {
    T::from_f64(number.to_f32().into())
}

fn faer_view<'a, T>(array: &'a ArrayView2<T>) -> MatRef<'a, T> {
    let columns = array.len_of(Axis(1));
    MatRef::from_row_major_slice(array.to_slice().expect(STANDARD), array.nrows(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers: every dtype holds them, and every order of summation gives the same.
    fn whole(rows: usize, columns: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7 + j * 3) % 5) as f32 - 2.0)
    }

    #[test]
    fn every_dtype_and_every_split_gives_the_product() {
        for tokens in [1, 2, TOKENS, TOKENS + 3] {
            let (weights, activations) = (whole(2 * ROWS + 5, 6), whole(tokens, 6));
            let expected = activations.dot(&weights.t());
            for matrix in [
                Matrix::Wide(weights.clone()),
                Matrix::Bf16(weights.mapv(bf16::from_f32)),
                Matrix::F16(weights.mapv(f16::from_f32)),
            ] {
                assert_eq!(matrix.product(activations.view()), expected, "{tokens}");
                assert_eq!(matrix.row(3), weights.row(3));
                assert_eq!(matrix.to_wide(), weights);
            }
        }
    }
}
