//! Attention in some hundred decimal digits, to tell which of two 64-bit results is right.

use std::ops::{Add, Div, Mul, Sub};

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

use crate::Scalar;

/// Bits of every significand: 113 decimal digits.
const PRECISION: usize = 376;

/// A binary floating-point number of 376 significant bits without bound on its exponent, or minus infinity
/// (the log-sum-exp of a query that sees nothing).
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub struct HighPrecision(FBig<HalfEven, 2>);

impl HighPrecision {
    fn one() -> Self {
        Self::from_f64(1.0)
    }

    #[cfg(test)]
    pub(crate) fn big(&self) -> &FBig<HalfEven, 2> {
        &self.0
    }
}

impl Scalar for HighPrecision {
    /// NaN becomes minus infinity; a checked [`Head`](obd_core::Head) holds none.
    fn from_f64(value: f64) -> Self {
        match FBig::try_from(value) {
            Ok(exact) if value.is_finite() => Self(exact.with_precision(PRECISION).value()),
            _ => Self(FBig::NEG_INFINITY),
        }
    }

    fn to_f64(&self) -> f64 {
        self.0.to_f64().value()
    }

    /// 0 where the exponent would leave the type's. An exact result, such as e^0, comes without a precision and is
    /// given ours.
    fn exp(&self) -> Self {
        Self(self.0.exp().with_precision(PRECISION).value())
    }

    fn ln(&self) -> Self {
        Self(self.0.ln().with_precision(PRECISION).value())
    }

    /// `(e^2x - 1) / (e^2x + 1)`; ±1 beyond 200, where the rest is below the last of the 376 bits.
    fn tanh(&self) -> Self {
        let magnitude = self.to_f64().abs();
        if magnitude > 200.0 {
            return Self::from_f64(self.to_f64().signum());
        }
        let square = (self.clone() + self.clone()).exp();
        (square.clone() - Self::one()) / (square + Self::one())
    }
}

impl Add for HighPrecision {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for HighPrecision {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul for HighPrecision {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

impl Div for HighPrecision {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        Self(self.0 / other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> HighPrecision {
        HighPrecision::from_f64(value)
    }

    #[test]
    fn e_to_a_hundred_digits() {
        // OEIS A001113.
        let known =
            "2.718281828459045235360287471352662497757247093699959574966967627724076630353547594571382178525166427";
        let digits = number(1.0).exp().0.to_decimal().value().to_string();
        assert_eq!(digits[..known.len()], *known);
    }

    #[test]
    fn arithmetic_keeps_what_f64_drops() {
        let tiny = number(1e-200);
        let sum = number(1e-100) * number(1e-100) / number(1.0) - tiny;
        assert!(sum.to_f64().abs() < 1e-215);
        assert_eq!((number(1.0) + number(1e-60) - number(1.0)).to_f64(), 1e-60);
    }

    #[test]
    fn ln_undoes_exp_and_tanh_is_odd() {
        assert_eq!(number(1000.0).exp().ln().to_f64(), 1000.0);
        assert_eq!(number(1.0).tanh().to_f64(), 0.7615941559557649);
        assert_eq!(number(-1.0).tanh().to_f64(), -0.7615941559557649);
        assert_eq!(number(0.0).tanh().to_f64(), 0.0);
    }

    #[test]
    fn far_out_the_functions_reach_their_limits() {
        let tiny = number(-6e18).exp();
        assert!(tiny > number(0.0) && (tiny.clone() * tiny).to_f64() == 0.0);
        assert_eq!(number(-1e70).exp(), number(0.0));
        assert_eq!((number(1.0) + number(-1e70).exp()).to_f64(), 1.0);
        assert_eq!(
            [number(1e70).tanh(), number(-201.0).tanh()].map(|x| x.to_f64()),
            [1.0, -1.0]
        );
        let near = number(1.0) - number(130.0).tanh();
        assert!(near.to_f64() > 0.0 && near.to_f64() < 1e-112);
    }

    #[test]
    fn infinity_is_kept_and_nan_is_not() {
        assert_eq!(number(f64::NEG_INFINITY).to_f64(), f64::NEG_INFINITY);
        assert_eq!(number(f64::NAN).to_f64(), f64::NEG_INFINITY);
        assert_eq!(number(f64::INFINITY).to_f64(), f64::NEG_INFINITY);
    }
}
