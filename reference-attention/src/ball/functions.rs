//! Exponential, logarithm and hyperbolic tangent of a ball.

use super::Ball;
use super::lossless::{upper, upper_product};
use crate::Scalar;

/// ln 2 to three floats' worth of bits, of which the third is the radius.
const LN_2: Ball = Ball {
    high: std::f64::consts::LN_2,
    low: 2.319_046_813_846_299_6e-17,
    radius: 5.8e-34,
};

impl Scalar for Ball {
    fn from_f64(value: f64) -> Self {
        Self::exact(value)
    }

    fn to_f64(&self) -> f64 {
        self.high
    }

    /// `x = k ln 2 + 16 r`, `e^x = 2^k (e^r)^16`, with e^r from 14 terms of its series and their remainder.
    ///
    /// Below -700 all that is said is that the result is tiny, and above 690, where the product by 2^k would overflow on
    /// its way, nothing.
    fn exp(&self) -> Self {
        if self.high == f64::NEG_INFINITY {
            return Self::ZERO;
        }
        let largest = self.high + self.radius;
        if largest < -700.0 {
            return Self::ZERO.widened(1e-300);
        }
        if self.radius > 1.0 || self.high < -700.0 || largest > 690.0 {
            return Self::UNKNOWN;
        }
        let k = (self.high * std::f64::consts::LOG2_E).round();
        let r = (*self - LN_2 * Self::exact(k)) * Self::exact(0.0625);
        let mut power = series_of_exp(r);
        for _ in 0..4 {
            power = power * power;
        }
        power * Self::power_of_two(k as i64)
    }

    /// One step of Newton from the float's logarithm y: with `t = x e^-y - 1`, `ln x = y + t - t²/2` to within |t|³.
    ///
    /// Of a ball that reaches down to 0 nothing is said: its t goes down to -1.
    fn ln(&self) -> Self {
        if self.high <= 0.0 {
            return Self::UNKNOWN;
        }
        let y = Self::exact(libm::log(self.high));
        let t = *self * (-y).exp() - Self::ONE;
        let size = t.magnitude();
        if size > 0.1 || size.is_nan() {
            return Self::UNKNOWN;
        }
        (y + (t - t * t * Self::exact(0.5))).widened(upper_product(size, upper_product(size, size)))
    }

    /// `(e^2x - 1) / (e^2x + 1)`.
    fn tanh(&self) -> Self {
        let square = (*self + *self).exp();
        (square - Self::ONE) / (square + Self::ONE)
    }
}

/// `e^r` for a small r: `14! e^r = 14!/14! r^14 + 14!/13! r^13 + ... + 14!/0!`, whose coefficients are whole numbers
/// below 2^53.
fn series_of_exp(r: Ball) -> Ball {
    let (mut coefficient, mut series) = (1.0, Ball::ONE);
    for n in (1..=14).rev() {
        coefficient *= f64::from(n);
        series = series * r + Ball::exact(coefficient);
    }
    (series / Ball::exact(coefficient)).widened(remainder_of_exp(r.magnitude()))
}

/// A bound of what 14 terms leave out of `e^r`: twice the next term, for a magnitude of r below 1.
fn remainder_of_exp(r: f64) -> f64 {
    let mut term = 2.0;
    for n in 1..=15 {
        term = upper_product(term, r) / f64::from(n);
    }
    upper(term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Enclosure;

    fn ball(high: f64, radius: f64) -> Ball {
        Ball { high, low: 0.0, radius }
    }

    #[test]
    fn exponentials_are_told_up_to_their_ends_and_not_beyond() {
        assert_eq!(ball(690.0, 0.0).exp().certified(), Some(4.60460640478299e+299));
        assert_eq!(ball(690.5, 0.0).exp(), Ball::UNKNOWN);
        assert_eq!(ball(689.75, 0.5).exp(), Ball::UNKNOWN);
        assert!(ball(-700.0, 0.0).exp().radius < 1e-318);
        assert_eq!(ball(-700.5, 0.0).exp(), Ball::ZERO.widened(1e-300));
        assert_eq!(ball(-700.5, 0.75).exp(), Ball::UNKNOWN);
        assert_eq!(ball(0.0, 1.5).exp(), Ball::UNKNOWN);
        let [least, greatest] = ball(0.0, 1.0).exp().ends();
        assert!(least < (-1f64).exp() && greatest > 1f64.exp() && greatest < 10.0);
    }

    #[test]
    fn the_series_is_the_exponential() {
        for r in [-0.02, 0.02] {
            let series = series_of_exp(ball(r, 0.0));
            assert!((series.high - libm::exp(r)).abs() < 3e-16 && series.radius < 1e-30);
        }
    }

    #[test]
    fn the_remainder_is_twice_the_fifteenth_term() {
        // 15! = 1307674368000.
        let expected = 2.0 * 0.5f64.powi(15) / 1_307_674_368_000.0;
        let remainder = remainder_of_exp(0.5);
        assert!(remainder >= expected && remainder <= expected * (1.0 + 1e-12));
    }

    #[test]
    fn logarithms_of_what_may_not_be_positive_are_unknown() {
        for unknown in [
            ball(-1.0, 0.0),
            ball(0.0, 0.0),
            ball(1.0, 1.0),
            ball(1.0, 0.5),
            Ball::UNKNOWN,
        ] {
            assert_eq!(unknown.ln(), Ball::UNKNOWN);
        }
        let [least, greatest] = ball(1.0, 0.0625).ln().ends();
        assert!(least < (0.9375f64).ln() && greatest > (1.0625f64).ln());
        assert!(least > -0.08 && greatest < 0.08);
    }
}
