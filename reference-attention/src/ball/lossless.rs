//! Sums and products of floats without loss, and upper bounds of what was lost.
//!
//! Two-sum is Knuth's, two-product Dekker's (Higham, *Accuracy and Stability of Numerical Algorithms*, section 4.3).

/// More than any product of floats can lose to underflow.
const UNDERFLOW: f64 = 1e-320;

/// Below this a product may lose bits to underflow.
const SMALL: f64 = 1e-290;

/// An upper bound of a sum or product of a few non-negative floats that was rounded on its way; 0 stays 0.
pub(super) fn upper(bound: f64) -> f64 {
    if bound == 0.0 {
        0.0
    } else {
        bound * (1.0 + 16.0 * f64::EPSILON) + UNDERFLOW
    }
}

/// An upper bound of a product that is 0 only where a factor is.
pub(super) fn upper_product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 {
        0.0
    } else {
        upper(a * b + UNDERFLOW)
    }
}

/// An upper bound of a quotient that is 0 only where the dividend is.
pub(super) fn upper_quotient(dividend: f64, divisor: f64) -> f64 {
    if dividend == 0.0 {
        0.0
    } else {
        upper(dividend / divisor + UNDERFLOW)
    }
}

/// The rounded sum and what was rounded away.
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// Two floats of half the length that sum to `a`.
fn split(a: f64) -> (f64, f64) {
    let shifted = 134_217_729.0 * a;
    let high = shifted - (shifted - a);
    (high, a - high)
}

/// The rounded product and what was rounded away, exact unless the product is below [`SMALL`].
pub(super) fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    let error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, error)
}

/// What a product of these floats may have lost to underflow.
pub(super) fn underflow(a: f64, b: f64) -> f64 {
    if a != 0.0 && b != 0.0 && (a * b).abs() < SMALL {
        UNDERFLOW
    } else {
        0.0
    }
}
