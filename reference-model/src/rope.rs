//! Rotary position encoding: channel pairs (c, c + head_dim/2) turn by an angle that grows with the position.
//!
//! ```text
//! angle of pair c at position p = p f_c,   f_c = theta^(-2c/head_dim), scaled as the configuration says
//! ```

use std::f64::consts::TAU;

use ndarray::ArrayViewMut1;

use crate::{Config, Number, Rope};

/// The frequencies f_c, length head_dim/2, and the factor on cosine and sine. Claim C39.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    frequencies: Vec<f64>,
    factor: f64,
}

impl Rotation {
    pub fn new(config: &Config) -> Self {
        let (theta, dim) = (config.rope_theta, config.head_dim);
        let plain = (0..dim / 2).map(|pair| theta.powf(-((2 * pair) as f64) / dim as f64));
        let (frequencies, factor) = match config.rope {
            Rope::Default => (plain.collect(), 1.0),
            Rope::Linear { factor } => (plain.map(|f| f / factor).collect(), 1.0),
            Rope::Llama3 {
                factor,
                low,
                high,
                original,
            } => {
                let scaled = |f: f64| {
                    let rotations = original * f / TAU;
                    let share = ((rotations - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - share) * f / factor + share * f
                };
                (plain.map(scaled).collect(), 1.0)
            }
            Rope::Yarn {
                factor,
                attention,
                fast,
                slow,
                original,
                truncate,
            } => {
                let (start, end) = ramp(config, (fast, slow), original, truncate);
                let scaled = |(pair, f): (usize, f64)| {
                    let divided = ((pair as f64 - start) / (end - start)).clamp(0.0, 1.0);
                    divided * f / factor + (1.0 - divided) * f
                };
                (plain.enumerate().map(scaled).collect(), attention)
            }
        };
        Self { frequencies, factor }
    }

    /// Cosines and sines at a position, length head_dim/2 each.
    pub fn at<T: Number>(&self, position: usize) -> (Vec<T>, Vec<T>) {
        let turn = |f: &f64| (position as f64 * f).sin_cos();
        let (sines, cosines): (Vec<f64>, Vec<f64>) = self.frequencies.iter().map(turn).unzip();
        let scaled = |numbers: Vec<f64>| numbers.iter().map(|x| T::from_f64(x * self.factor)).collect();
        (scaled(cosines), scaled(sines))
    }
}

/// Channel pairs between which YaRN's ramp rises from left alone to divided.
fn ramp(config: &Config, (fast, slow): (f64, f64), original: f64, truncate: bool) -> (f64, f64) {
    let dim = config.head_dim as f64;
    // The channel that turns so often over the context of the training.
    let channel = |rotations: f64| dim * (original / (rotations * TAU)).ln() / (2.0 * config.rope_theta.ln());
    let (mut start, mut end) = (channel(fast), channel(slow));
    if truncate {
        (start, end) = (start.floor(), end.ceil());
    }
    (start, end) = (start.max(0.0), end.min(dim - 1.0));
    // As the published code does where the ramp has no length.
    if start == end {
        (start, end + 0.001)
    } else {
        (start, end)
    }
}

/// Turns the channel pairs of one query or key, length head_dim.
pub(crate) fn rotate<T: Number>(mut row: ArrayViewMut1<T>, (cosines, sines): &(Vec<T>, Vec<T>)) {
    let half = cosines.len();
    for (pair, (&cosine, &sine)) in cosines.iter().zip(sines).enumerate() {
        let (first, second) = (row[pair], row[pair + half]);
        row[pair] = first * cosine - second * sine;
        row[pair + half] = second * cosine + first * sine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_quarter_turn_by_hand() {
        let mut row = array![3.0, 5.0, 4.0, 7.0];
        rotate(row.view_mut(), &(vec![0.0, 1.0], vec![1.0, 0.0]));
        assert_eq!(row, array![-4.0, 5.0, 3.0, 7.0]);
    }
}
