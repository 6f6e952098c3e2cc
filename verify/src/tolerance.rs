//! How far two correct computations in 64-bit floats may lie apart, derived from the problem and not tuned.
//!
//! With u = 2^-53 the unit roundoff, a sum of n products is off by at most γ_n = n u / (1 - n u) times the sum of their
//! magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1).

use obd_core::Head;

/// Half the distance from 1 to the next number.
pub const UNIT_ROUNDOFF: f64 = f64::EPSILON / 2.0;

/// γ_n, the relative error of n roundings in a row.
pub fn gamma(roundings: usize) -> f64 {
    let product = roundings as f64 * UNIT_ROUNDOFF;
    product / (1.0 - product)
}

/// Relative error of an attention weight that does not underflow.
///
/// A softmax input is off by δ = γ_(head_dim + 6) U: its dot product, the scale, soft-cap (slope at most 1, four
/// roundings) and bias, U the largest sum of their magnitudes. The maximum is subtracted (2 U u more), so a weight, a
/// quotient of exponentials, is off by 2 (δ + 2 U u) and by the kv_len + 6 roundings of exponentials, sum and quotient.
pub fn weight(head: &Head) -> f64 {
    let input = gamma(head.head_dim() + 6) * largest_input(head);
    2.0 * (input + 2.0 * UNIT_ROUNDOFF * largest_input(head)) + gamma(head.kv_len() + 6)
}

/// Absolute error of one channel of a perturbation of the output, or of a first-order change along a unit of logit.
///
/// An output is a mean of values, off by (weight error + γ_kv_len) times the largest value. Brute force subtracts two
/// outputs (2 such errors); a closed form is `w (v - o')` with `|w| <= 1`: the error of the weight, of the weight of the
/// others, of the logit within them (4 together, the difference being up to 2 values), and of o' (2). Eight in all.
pub fn change(head: &Head) -> f64 {
    8.0 * (weight(head) + gamma(head.kv_len())) * largest(head.value().iter())
}

/// Absolute error of the sum of squared changes, over all queries and channels.
///
/// A channel of an exact change is at most x = 2 max|v| and off by τ = [`change`]; a first-order one is both times
/// `stretch` = 1 + max|z| (1 for exact changes). `(x + τ)² - x² = 2 x τ + τ²`, and the sum itself rounds.
pub fn squared_change(head: &Head, stretch: f64) -> f64 {
    let terms = head.query_len() * head.value_dim();
    let (size, error) = (2.0 * largest_value(head) * stretch, change(head) * stretch);
    terms as f64 * (2.0 * size * error + error * error + 2.0 * gamma(terms + 2) * size * size)
}

/// The largest magnitude of the values.
pub fn largest_value(head: &Head) -> f64 {
    largest(head.value().iter())
}

/// The largest sum of magnitudes in any softmax input.
pub fn largest_input(head: &Head) -> f64 {
    let mut inputs: Vec<f64> = head.sink().into_iter().collect();
    for (i, query) in head.query().rows().into_iter().enumerate() {
        for (j, key) in head.key().rows().into_iter().enumerate() {
            let product: f64 = query.iter().zip(key).map(|(q, k)| (q * k).abs()).sum();
            inputs.push(head.scale() * product + head.bias(i, j).abs());
        }
    }
    largest(inputs.iter())
}

fn largest<'a>(numbers: impl Iterator<Item = &'a f64>) -> f64 {
    numbers.fold(0.0, |largest, number| number.abs().max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn one_rounding_is_the_unit_roundoff() {
        assert!((gamma(1) / 2f64.powi(-53) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_largest_input_sums_magnitudes() {
        // 2·3 and 4·1 of opposite signs: 6 + 4 = 10, and the scale is 1.
        let head = Head::new(array![[2.0, 4.0]], array![[3.0, -1.0]], array![[-5.0]]).unwrap();
        let head = head.with_scale(1.0).unwrap();
        assert_eq!((largest_input(&head), largest_value(&head)), (10.0, 5.0));
    }
}
