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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_programs::for_all;
    use crate::{HighPrecision, Scalar};
    use proptest::prelude::*;

    fn high(number: f64) -> HighPrecision {
        HighPrecision::from_f64(number)
    }

    fn number() -> impl Strategy<Value = f64> {
        (-1.0..1.0f64, -60..60i32).prop_map(|(fraction, exponent)| fraction * 2f64.powi(exponent))
    }

    #[test]
    fn sum_and_product_lose_nothing() {
        for_all(256, (number(), number()), |(a, b)| {
            let (sum, error) = two_sum(a, b);
            prop_assert_eq!(sum, a + b);
            prop_assert_eq!(high(sum) + high(error), high(a) + high(b));
            let (product, error) = two_product(a, b);
            prop_assert_eq!(product, a * b);
            prop_assert_eq!(high(product) + high(error), high(a) * high(b));
            Ok(())
        });
    }

    #[test]
    fn bounds_lie_above_by_a_few_roundings_and_zero_stays_zero() {
        assert_eq!([upper(0.0), upper_product(0.0, 2.0), upper_product(2.0, 0.0)], [0.0; 3]);
        assert_eq!(upper_quotient(0.0, 3.0), 0.0);
        let above_6 = 6.0 * (1.0 + 16.0 * f64::EPSILON);
        assert_eq!(
            [upper(6.0), upper_product(2.0, 3.0), upper_quotient(18.0, 3.0)],
            [above_6; 3]
        );
    }

    #[test]
    fn bounds_of_what_underflows_lie_above_zero() {
        assert!(upper(5e-324) > UNDERFLOW);
        assert!(upper_product(1e-200, 1e-200) > UNDERFLOW && upper_quotient(1e-200, 1e200) > UNDERFLOW);
        assert_eq!(
            [underflow(1e-200, -1e-200), underflow(-SMALL / 2.0, 1.0)],
            [UNDERFLOW; 2]
        );
        assert_eq!(
            [underflow(0.0, 1e-300), underflow(1e-300, 0.0), underflow(SMALL, 1.0)],
            [0.0; 3]
        );
    }
}
