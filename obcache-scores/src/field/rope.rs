//! Rotary position encoding, to undo it and to average it over positions that are still to come.
//!
//! ```text
//! channel pair (c, c + d/2) at position p:  (x, y) -> (x cos - y sin, y cos + x sin),   angle = p theta^(-2c/d)
//! ```
//! Angles, cosines and sines are rounded to 32 bits, as the models of `transformers` compute them: to undo a rotation is to
//! undo the one that was done. The pairing of halves is that of LLaMA, Qwen and Mistral; no frequency is rescaled.

use ndarray::{Array2, ArrayView2};
use obd_core::ProblemError;

/// The rotary encoding of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Radians a position, of each pair of channels.
    frequencies: Vec<f32>,
}

impl Rope {
    /// The encoding with base `theta` of heads of `head_dim` channels.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] where `head_dim` is odd, or `theta` is no finite number above 0.
    pub fn new(theta: f64, head_dim: usize) -> Result<Self, ProblemError> {
        let refused = |parameter, value, expected| ProblemError::Parameter {
            parameter,
            value,
            expected,
        };
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(refused("head_dim", head_dim as f64, "an even number of channels"));
        }
        if !(theta.is_finite() && theta > 0.0) {
            return Err(refused("rope_theta", theta, "a finite number above 0"));
        }
        let exponent = |pair: usize| (2 * pair) as f32 / head_dim as f32;
        let frequency = |pair: usize| 1.0 / theta.powf(f64::from(exponent(pair))) as f32;
        Ok(Self {
            frequencies: (0..head_dim / 2).map(frequency).collect(),
        })
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Cosine and sine of one pair of channels at `position`.
    fn turn(&self, pair: usize, position: usize) -> (f64, f64) {
        let angle = f64::from(position as f32 * self.frequencies[pair]);
        (f64::from(angle.cos() as f32), f64::from(angle.sin() as f32))
    }

    /// Rows before their rotation, shape as given: row `i` was rotated to position `first + i`.
    ///
    /// A rounded cosine and sine are not quite of length 1, so their length is divided out as well.
    ///
    /// # Panics
    /// Where the rows do not have [`Rope::head_dim`] channels.
    pub fn undo(&self, rows: ArrayView2<f64>, first: usize) -> Array2<f64> {
        assert_eq!(rows.ncols(), self.head_dim(), "channels of the rows");
        let half = self.frequencies.len();
        Array2::from_shape_fn(rows.dim(), |(i, c)| {
            let (cos, sin) = self.turn(c % half, first + i);
            let length = cos * cos + sin * sin;
            if c < half {
                (rows[[i, c]] * cos + rows[[i, c + half]] * sin) / length
            } else {
                (rows[[i, c]] * cos - rows[[i, c - half]] * sin) / length
            }
        })
    }

    /// The mean of the rotations to the `positions`, shape (head_dim, head_dim); zero where there are none. A mean of
    /// rotations shortens: it is no rotation itself.
    pub fn mean(&self, positions: std::ops::Range<usize>) -> Array2<f64> {
        let half = self.frequencies.len();
        let mut mean = Array2::zeros((2 * half, 2 * half));
        let count = positions.len().max(1) as f64;
        for pair in 0..half {
            let turns = positions.clone().map(|position| self.turn(pair, position));
            let (cos, sin) = turns.fold((0.0, 0.0), |sum, turn| (sum.0 + turn.0, sum.1 + turn.1));
            mean[[pair, pair]] = cos / count;
            mean[[pair + half, pair + half]] = cos / count;
            mean[[pair, pair + half]] = -sin / count;
            mean[[pair + half, pair]] = sin / count;
        }
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Axis, array};

    #[test]
    fn one_radian_a_position_and_a_hundredth() {
        // theta 10000, 4 channels: frequencies 1 and 10000^(-1/2) = 1/100; pairs (0, 2) and (1, 3).
        let rope = Rope::new(1e4, 4).unwrap();
        let mean = rope.mean(2..3);
        let expected = [2f64.cos(), 0.02f64.cos(), 2f64.sin(), 0.02f64.sin()];
        for (got, expected) in [mean[[0, 0]], mean[[1, 1]], mean[[2, 0]], mean[[3, 1]]]
            .into_iter()
            .zip(expected)
        {
            assert_relative_eq!(got, expected, max_relative = 2e-7);
        }
        assert_eq!((mean[[0, 2]], mean[[0, 1]]), (-mean[[2, 0]], 0.0));
    }

    #[test]
    fn what_was_turned_is_turned_back() {
        let rope = Rope::new(500.0, 6).unwrap();
        let rows = array![[1.0, -2.0, 3.0, 0.5, 4.0, -1.0], [2.0, 0.0, 1.0, -3.0, 1.0, 5.0]];
        let mut turned = rows.clone();
        for (i, mut row) in turned.axis_iter_mut(Axis(0)).enumerate() {
            let there = rope.mean(7 + i..8 + i).dot(&rows.row(i));
            row.assign(&there);
        }
        assert_relative_eq!(rope.undo(turned.view(), 7), rows, max_relative = 1e-14, epsilon = 1e-14);
    }

    #[test]
    fn a_mean_of_rotations_shortens() {
        // Quarter turns 0, 1, 2, 3 would cancel; at frequency 1 positions 0 and 3 nearly do: (1 + cos 3) / 2.
        let mean = Rope::new(1e4, 2).unwrap().mean(0..4);
        let cos = (1.0 + 1f64.cos() + 2f64.cos() + 3f64.cos()) / 4.0;
        let sin = (1f64.sin() + 2f64.sin() + 3f64.sin()) / 4.0;
        assert_relative_eq!(mean, array![[cos, -sin], [sin, cos]], max_relative = 1e-6);
        assert_eq!(Rope::new(1e4, 2).unwrap().mean(3..3), Array2::<f64>::zeros((2, 2)));
    }

    #[test]
    fn odd_channels_and_impossible_bases_are_refused() {
        assert_eq!(
            Rope::new(1e4, 3).unwrap_err().to_string(),
            "head_dim is 3, expected an even number of channels"
        );
        for theta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Rope::new(theta, 4).is_err());
        }
        assert!(Rope::new(1e4, 0).is_err());
        assert_eq!(Rope::new(1e4, 8).unwrap().head_dim(), 8);
    }
}
