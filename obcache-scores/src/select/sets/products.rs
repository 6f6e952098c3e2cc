//! The inner products of an output p, its change d and a value v that a step of the kept set needs, and how the step moves them.

use ndarray::ArrayView1;

/// The inner products of p, less the mean, and d with themselves and each other.
#[derive(Clone, Copy)]
pub(super) struct Products {
    pub output: f64,
    pub change_output: f64,
    pub change: f64,
}

impl Products {
    pub fn new(output: ArrayView1<f64>, change: ArrayView1<f64>) -> Self {
        Self {
            output: inner(output, output),
            change_output: inner(change, output),
            change: inner(change, change),
        }
    }

    /// `‖d + factor (p - v)‖²` from p·v, d·v and v·v.
    pub fn error(&self, factor: f64, [output, change, square]: [f64; 3]) -> f64 {
        let gap = self.output - 2.0 * output + square;
        self.change + 2.0 * factor * (self.change_output - change) + factor * factor * gap
    }

    /// Moves p and d by `factor` (p - v).
    pub fn step(&mut self, factor: f64, [output, change, square]: [f64; 3]) {
        let along_output = factor * (self.output - output);
        let along_change = factor * (self.change_output - change);
        let gap = factor * factor * (self.output - 2.0 * output + square);
        self.output += 2.0 * along_output + gap;
        self.change_output += along_output + along_change + gap;
        self.change += 2.0 * along_change + gap;
    }
}

/// The inner product in a fixed order, eight sums side by side: a BLAS would sum in an order that depends on its threads.
///
/// # Panics
/// Where the elements of a vector do not lie side by side.
pub(super) fn inner(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    let mut sums = [0.0; 8];
    let side_by_side = "rows of matrices in standard layout";
    let (a, b) = (a.to_slice().expect(side_by_side), b.to_slice().expect(side_by_side));
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    #[test]
    fn products_of_any_length_are_whole() {
        for length in [0, 3, 8, 19] {
            let a = Array1::from_shape_fn(length, |c| c as f64);
            let b = Array1::from_shape_fn(length, |c| 2.0 * c as f64 + 1.0);
            let expected: f64 = (0..length).map(|c| (c * (2 * c + 1)) as f64).sum();
            assert_eq!(inner(a.view(), b.view()), expected);
        }
    }
}
