//! Attention in double-double numbers with a running bound of what was rounded away.
//!
//! Sums and products of floats are split without loss into a float and its rounding error, so that a ball whose
//! operations lost nothing has radius 0. Nothing here fuses, so the bits are the same on every machine.

mod functions;
mod lossless;

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Enclosure;
use lossless::{two_product, two_sum, underflow, upper, upper_product, upper_quotient};

/// All reals within `radius` of `high + low`, or minus infinity, or, where the radius is infinite, any real at all.
/// Claim C23.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    /// The float nearest to the centre.
    high: f64,
    /// The rest of the centre.
    low: f64,
    radius: f64,
}

impl Ball {
    const ZERO: Self = Self::exact(0.0);
    const ONE: Self = Self::exact(1.0);
    const UNKNOWN: Self = Self {
        high: 0.0,
        low: 0.0,
        radius: f64::INFINITY,
    };

    const fn exact(number: f64) -> Self {
        Self {
            high: number,
            low: 0.0,
            radius: 0.0,
        }
    }

    /// The ball, or the unknown one where it overflowed.
    fn checked(high: f64, low: f64, radius: f64) -> Self {
        if high.is_finite() && low.is_finite() && radius.is_finite() {
            Self { high, low, radius }
        } else {
            Self::UNKNOWN
        }
    }

    /// The same centre with radius 0.
    fn centre(self) -> Self {
        Self { radius: 0.0, ..self }
    }

    /// The same centre, further numbers included.
    fn widened(self, by: f64) -> Self {
        Self::checked(self.high, self.low, upper(self.radius + by))
    }

    /// An upper bound of the magnitude of every number in the ball.
    fn magnitude(self) -> f64 {
        upper(self.high.abs() + self.low.abs() + self.radius)
    }

    /// A lower bound of the magnitude of every number in the ball; 0 or less where 0 is among them.
    fn distance_from_zero(self) -> f64 {
        let distance = self.high.abs() - self.low.abs() - self.radius;
        distance - upper(self.high.abs() * f64::EPSILON)
    }

    /// The least and the greatest number of the ball, rounded to nearest after a small step outwards.
    fn ends(self) -> [f64; 2] {
        if self.radius == 0.0 {
            return [self.high; 2];
        }
        [-1.0, 1.0].map(|side| {
            let offset = self.low + side * self.radius;
            self.high + (offset + side * upper(offset.abs() * f64::EPSILON))
        })
    }

    /// `2^exponent`, for exponents of normal floats.
    fn power_of_two(exponent: i64) -> Self {
        Self::exact(f64::from_bits(((exponent + 1023) as u64) << 52))
    }
}

impl Add for Ball {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (high, high_error) = two_sum(self.high, other.high);
        let (low, low_error) = two_sum(self.low, other.low);
        let (middle, lost_1) = two_sum(high_error, low);
        let (high, middle) = two_sum(high, middle);
        let (tail, lost_2) = two_sum(lost_1, low_error);
        let (middle, lost_3) = two_sum(middle, tail);
        let (high, low) = two_sum(high, middle);
        let lost = lost_2.abs() + lost_3.abs();
        Self::checked(high, low, upper(self.radius + other.radius + lost))
    }
}

impl Mul for Ball {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        let mut lost = underflow(self.high, other.high);
        let (mut high, mut low) = (high, error);
        if self.low != 0.0 || other.low != 0.0 {
            let (left, left_error) = two_product(self.high, other.low);
            let (right, right_error) = two_product(self.low, other.high);
            let (cross, lost_1) = two_sum(left, right);
            let (middle, lost_2) = two_sum(cross, error);
            (high, low) = two_sum(high, middle);
            lost += left_error.abs() + right_error.abs() + lost_1.abs() + lost_2.abs();
            lost += upper_product(self.low.abs(), other.low.abs());
            lost += underflow(self.high, other.low) + underflow(self.low, other.high);
        }
        let mut radius = lost;
        if self.radius != 0.0 || other.radius != 0.0 {
            radius += upper_product(self.radius, other.magnitude());
            radius += upper_product(self.magnitude(), other.radius);
        }
        Self::checked(high, low, upper(radius))
    }
}

impl Neg for Ball {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
            radius: self.radius,
        }
    }
}

impl Sub for Ball {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Div for Ball {
    type Output = Self;

    /// A quotient by two steps of long division; its error is the remainder over the divisor.
    fn div(self, other: Self) -> Self {
        let smallest = other.distance_from_zero();
        if smallest.is_nan() || smallest <= 0.0 {
            return Self::UNKNOWN;
        }
        let (dividend, divisor) = (self.centre(), other.centre());
        let mut quotient = Self::exact(self.high / other.high);
        for _ in 0..2 {
            let remainder = dividend - divisor * quotient.centre();
            quotient = (quotient + Self::exact(remainder.high / other.high)).centre();
        }
        let remainder = dividend - divisor * quotient;
        let error = remainder.magnitude() + self.radius + upper_product(quotient.magnitude(), other.radius);
        quotient.widened(upper_quotient(upper(error), smallest))
    }
}

impl Enclosure for Ball {
    fn certified(&self) -> Option<f64> {
        if self.radius.is_infinite() {
            return None;
        }
        let [least, greatest] = self.ends();
        (least == greatest).then_some(least + 0.0)
    }

    fn larger(&self, other: &Self) -> Self {
        if other.is_above(self) {
            return *other;
        }
        if self.is_above(other) {
            return *self;
        }
        let excess = *other - *self;
        self.widened(excess.magnitude())
    }

    fn is_above(&self, other: &Self) -> bool {
        let difference = *self - *other;
        difference.high > 0.0 && difference.distance_from_zero() > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_programs::{Program, for_all, programs};
    use crate::{HighPrecision, Scalar};
    use proptest::prelude::*;

    fn high(value: f64) -> HighPrecision {
        HighPrecision::from_f64(value)
    }

    /// Up to what 376 bits round themselves, of which at least 150 survive what programs cancel.
    fn holds(ball: Ball, number: &HighPrecision) -> bool {
        if ball.radius.is_infinite() {
            return true;
        }
        let offset = number.clone() - high(ball.high) - high(ball.low);
        let radius = high(ball.radius) + high(number.to_f64().abs()) * high(2f64.powi(-150));
        offset <= radius.clone() && high(0.0) - radius <= offset
    }

    #[test]
    fn c23_whatever_is_computed_the_ball_holds_it() {
        for_all(4000, programs(), |program| {
            let exact = program.run::<HighPrecision>();
            for (ball, number) in program.run::<Ball>().into_iter().zip(exact) {
                prop_assert!(holds(ball, &number), "{ball:?} misses {number:?}");
            }
            Ok(())
        });
    }

    #[test]
    fn elementary_functions_keep_ninety_bits() {
        for_all(4000, -600.0..600.0f64, |x| {
            for (ball, number) in [
                (Ball::exact(x).exp(), high(x).exp()),
                (Ball::exact(x.abs() + 1.5).ln(), high(x.abs() + 1.5).ln()),
                (Ball::exact(1.0) / Ball::exact(x), high(1.0) / high(x)),
            ] {
                prop_assert!(holds(ball, &number));
                prop_assert!(ball.radius <= ball.high.abs() * 2f64.powi(-90), "{ball:?}");
            }
            Ok(())
        });
    }

    #[test]
    fn what_loses_nothing_stays_exact() {
        let program = Program::sum_of_products(&[1.5, f64::from(3e-3f32), -7.25, 1e4]);
        assert_eq!(program.run::<Ball>().last().unwrap().radius, 0.0);
        assert_eq!(Ball::ZERO.exp(), Ball::ONE);
        assert_eq!(Ball::ONE.ln(), Ball::ZERO);
        assert_eq!(Ball::ZERO.tanh(), Ball::ZERO);
        assert_eq!(Ball::exact(6.0) / Ball::exact(3.0), Ball::exact(2.0));
    }

    #[test]
    fn what_cannot_be_told_is_not_certified() {
        let third = Ball::ONE / Ball::exact(3.0);
        assert_eq!(third.certified(), Some(1.0 / 3.0));
        // Halfway between two floats, up to the last bits of the ball.
        let half = Ball::exact(1.0) + Ball::exact(2f64.powi(-53));
        assert_eq!(half.certified(), Some(1.0));
        assert_eq!(half.widened(1e-33).certified(), None);
        let nothing = third * Ball::exact(3.0) - Ball::ONE;
        assert_eq!(nothing.certified(), None);
        assert_eq!((Ball::ONE / nothing).certified(), None);
        assert_eq!(Ball::exact(-1.0).ln().certified(), None);
        assert_eq!(Ball::exact(800.0).exp().certified(), None);
        assert_eq!(Ball::exact(-800.0).exp().certified(), None);
        assert_eq!((Ball::exact(1e-200) * Ball::exact(1e-200)).certified(), None);
        assert_eq!((Ball::exact(1e-200) / Ball::exact(1e200)).certified(), None);
    }

    #[test]
    fn zeros_are_positive_and_infinity_is_kept() {
        assert_eq!(Ball::exact(-0.0).certified().map(f64::to_bits), Some(0));
        assert_eq!(Ball::exact(2.5).widened(0.5).to_f64(), 2.5);
        assert_eq!(Ball::from_f64(f64::NEG_INFINITY).certified(), Some(f64::NEG_INFINITY));
        assert_eq!(Ball::from_f64(f64::NEG_INFINITY).exp(), Ball::ZERO);
    }

    #[test]
    fn magnitude_distance_and_ends_count_every_part() {
        let ball = |high, low, radius| Ball { high, low, radius };
        let near = |bound: f64, number: f64| (bound - number).abs() < 1e-14;
        for high in [1.0, -1.0] {
            let magnitude = ball(high, 0.25, 0.125).magnitude();
            assert!(magnitude >= 1.375 && near(magnitude, 1.375));
            let distance = ball(high, 0.25, 0.125).distance_from_zero();
            assert!(distance < 0.625 && near(distance, 0.625));
        }
        let [least, greatest] = ball(0.0, 0.25, 0.125).ends();
        assert!(least < 0.125 && near(least, 0.125) && greatest > 0.375 && near(greatest, 0.375));
        assert_eq!(ball(0.0, -0.25, 0.125).ends(), [-greatest, -least]);
        assert_eq!(ball(2.0, 0.25, 0.0).ends(), [2.0; 2]);
    }

    #[test]
    fn radii_add_up_and_no_more() {
        let (x, y) = (Ball::exact(3.0).widened(0.25), Ball::exact(-2.0).widened(0.125));
        let near = |ball: Ball, radius: f64| ball.radius >= radius && ball.radius < radius * (1.0 + 1e-13);
        assert!(near(x + y, 0.375) && near(x - y, 0.375) && near(-x, 0.25));
        // 0.25 · 2.125 + 3.25 · 0.125, with the mixed term counted twice.
        assert!(near(x * y, 0.9375));
        assert!(near(x / Ball::exact(-2.0), 0.125));
        // |x/y| of the centres is 1.5: (0.25 + 1.5 · 0.125) / (2 - 0.125).
        assert!(near(x / y, 0.4375 / 1.875));
        assert!(near(x.widened(0.5), 0.75));
        assert_eq!(x.centre(), Ball::exact(3.0));
    }

    #[test]
    fn what_overflows_is_unknown() {
        assert_eq!(Ball::ONE.widened(f64::INFINITY), Ball::UNKNOWN);
        assert_eq!(Ball::exact(1e300) * Ball::exact(1e300), Ball::UNKNOWN);
        assert_eq!(Ball::checked(1.0, f64::INFINITY, 0.0), Ball::UNKNOWN);
        assert_eq!(Ball::exact(1.0) / Ball::exact(1.0).widened(1.0), Ball::UNKNOWN);
        assert_eq!(Ball::ONE / Ball::UNKNOWN, Ball::UNKNOWN);
    }

    #[test]
    fn a_product_whose_rest_underflows_is_not_exact() {
        let tiny = Ball {
            high: 1e-280,
            low: 1e-297,
            radius: 0.0,
        };
        assert!((Ball::ONE * tiny).radius > 0.0 && (tiny * Ball::ONE).radius > 0.0);
        assert!((Ball::exact(1e-150) * Ball::exact(1e-150)).radius > 0.0);
        assert_eq!((Ball::ZERO * tiny).radius, 0.0);
    }

    #[test]
    fn the_larger_of_two_that_overlap_holds_both() {
        let (low, high) = (Ball::exact(1.0).widened(0.25), Ball::exact(1.125).widened(0.5));
        let larger = low.larger(&high);
        assert!(larger.high - larger.radius <= 1.0 && larger.high + larger.radius >= 1.625);
        // No wider than by all that the other may exceed it, 0.125 + 0.25 + 0.5.
        assert!(larger.high == 1.0 && larger.radius < 0.25 + 0.875 + 1e-13);
        assert!(!high.is_above(&low));
        assert_eq!(low.larger(&Ball::exact(3.0)), Ball::exact(3.0));
        assert_eq!(Ball::exact(3.0).larger(&low), Ball::exact(3.0));
    }
}
