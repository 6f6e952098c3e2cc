//! Values less their mean: differences of values and outputs do not move (claim C14), and their inner products cancel less.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use obd_core::Head;

/// The values of a head less their mean.
pub(crate) struct Centred {
    /// Shape (value_dim).
    pub mean: Array1<f64>,
    /// Shape (kv_len, value_dim).
    pub values: Array2<f64>,
}

impl Centred {
    pub fn new(head: &Head) -> Self {
        let mean = head
            .value()
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(head.value_dim()));
        Self {
            values: head.value() - &mean,
            mean,
        }
    }

    /// The inner products of all of them, shape (kv_len, kv_len).
    pub fn products(&self) -> Array2<f64> {
        let square = (self.values.nrows(), self.values.nrows());
        Array2::from_shape_fn(square, |(j, l)| inner(self.values.row(j), self.values.row(l)))
    }

    /// The inner products of all of them with `vector`, shape (kv_len).
    pub fn products_with(&self, vector: ArrayView1<f64>) -> Array1<f64> {
        self.values.map_axis(Axis(1), |value| inner(value, vector))
    }
}

/// The inner product in a fixed order: a BLAS would sum in an order that depends on its threads.
pub(crate) fn inner(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_mean_is_taken_off_and_products_are_of_what_is_left() {
        let zeros = Array2::zeros((2, 1));
        let head = Head::new(zeros.clone(), zeros, array![[1.0, 5.0], [3.0, 1.0]]).unwrap();
        let centred = Centred::new(&head);
        assert_eq!(centred.mean, array![2.0, 3.0]);
        assert_eq!(centred.values, array![[-1.0, 2.0], [1.0, -2.0]]);
        assert_eq!(centred.products(), array![[5.0, -5.0], [-5.0, 5.0]]);
        assert_eq!(centred.products_with(array![3.0, 1.0].view()), array![-1.0, 1.0]);
    }
}
