//! Attention between two ends of any precision, for the numbers whose digits a [`Ball`](crate::Ball) cannot tell.

use std::ops::{Add, Div, Mul, Sub};

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

use crate::{Enclosure, Scalar};

type Big = FBig<HalfEven, 2>;

/// All reals between two numbers of `BITS` significant bits, whose exponents have no bound. Claim C23.
///
/// Each operation rounds both ends to nearest and then steps outwards by more than it can have rounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval<const BITS: usize>(Reals);

#[derive(Debug, Clone, PartialEq)]
enum Reals {
    Between(Big, Big),
    MinusInfinity,
    /// Any real at all, after a division by an interval that holds 0 or a huge exponential.
    Any,
}

/// How many units in the last place an end steps outwards, as a power of two. Operations and exponentials of
/// `dashu-float` are off by one unit at most.
const STEP: usize = 4;

/// Beyond this nothing is said about an exponential.
const LARGEST_EXPONENT: f64 = 1e9;

impl<const BITS: usize> Interval<BITS> {
    fn exact(number: Big) -> Self {
        Self(Reals::Between(number.clone(), number))
    }

    fn one() -> Self {
        Self::exact(Self::big(1.0))
    }

    fn big(value: f64) -> Big {
        let exact = FBig::try_from(value).unwrap_or(Big::ZERO);
        exact.with_precision(BITS).value()
    }

    /// The interval from the least to the greatest of `ends`, stepped outwards.
    fn around(ends: &[Big]) -> Self {
        let (mut least, mut greatest) = (&ends[0], &ends[0]);
        for end in ends {
            if end < least {
                least = end;
            }
            if end > greatest {
                greatest = end;
            }
        }
        Self(Reals::Between(
            least - Self::step(least),
            greatest + Self::step(greatest),
        ))
    }

    fn step(end: &Big) -> Big {
        let size = if *end < Big::ZERO { -end.clone() } else { end.clone() };
        size >> (BITS - STEP) as isize
    }

    fn combine(self, other: Self, ends: impl Fn([Big; 2], [Big; 2]) -> Vec<Big>) -> Self {
        match (self.0, other.0) {
            (Reals::Between(a, b), Reals::Between(c, d)) => Self::around(&ends([a, b], [c, d])),
            _ => Self(Reals::Any),
        }
    }

    /// The image under a rising function.
    fn rising(&self, function: impl Fn(&Big) -> Big) -> Self {
        match &self.0 {
            Reals::Between(a, b) => Self::around(&[function(a), function(b)]),
            _ => Self(Reals::Any),
        }
    }
}

impl<const BITS: usize> Add for Interval<BITS> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combine(other, |[a, b], [c, d]| vec![a + c, b + d])
    }
}

impl<const BITS: usize> Sub for Interval<BITS> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combine(other, |[a, b], [c, d]| vec![a - d, b - c])
    }
}

impl<const BITS: usize> Mul for Interval<BITS> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.combine(other, |[a, b], [c, d]| vec![&a * &c, &a * &d, &b * &c, &b * &d])
    }
}

impl<const BITS: usize> Div for Interval<BITS> {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        match &other.0 {
            Reals::Between(c, d) if *c > Big::ZERO || *d < Big::ZERO => {
                self.combine(other, |[a, b], [c, d]| vec![&a / &c, &a / &d, &b / &c, &b / &d])
            }
            _ => Self(Reals::Any),
        }
    }
}

impl<const BITS: usize> Scalar for Interval<BITS> {
    /// Minus infinity is kept; a checked [`Head`](obd_core::Head) holds no other number that is not finite.
    fn from_f64(value: f64) -> Self {
        if value == f64::NEG_INFINITY {
            return Self(Reals::MinusInfinity);
        }
        Self::exact(Self::big(value))
    }

    /// The lower end; 0 where the number can be any.
    fn to_f64(&self) -> f64 {
        match &self.0 {
            Reals::Between(a, _) => a.to_f64().value(),
            Reals::MinusInfinity => f64::NEG_INFINITY,
            Reals::Any => 0.0,
        }
    }

    fn exp(&self) -> Self {
        match &self.0 {
            Reals::MinusInfinity => Self::exact(Self::big(0.0)),
            Reals::Between(a, b) if *a == Big::ZERO && *b == Big::ZERO => Self::one(),
            Reals::Between(a, b) if *a < Self::big(-LARGEST_EXPONENT) || *b > Self::big(LARGEST_EXPONENT) => {
                Self(Reals::Any)
            }
            _ => self.rising(|end| end.exp().with_precision(BITS).value()),
        }
    }

    fn ln(&self) -> Self {
        match &self.0 {
            Reals::Between(a, _) if *a > Big::ZERO => self.rising(|end| end.ln().with_precision(BITS).value()),
            _ => Self(Reals::Any),
        }
    }

    /// `(e^2x - 1) / (e^2x + 1)`, whose terms never overflow here.
    fn tanh(&self) -> Self {
        let square = (self.clone() + self.clone()).exp();
        (square.clone() - Self::one()) / (square + Self::one())
    }
}

impl<const BITS: usize> Enclosure for Interval<BITS> {
    fn certified(&self) -> Option<f64> {
        match &self.0 {
            Reals::Between(a, b) => {
                let (least, greatest) = (a.to_f64().value(), b.to_f64().value());
                (least == greatest).then_some(least + 0.0)
            }
            Reals::MinusInfinity => Some(f64::NEG_INFINITY),
            Reals::Any => None,
        }
    }

    fn larger(&self, other: &Self) -> Self {
        let larger = |a: &Big, b: &Big| if a > b { a.clone() } else { b.clone() };
        match (&self.0, &other.0) {
            (Reals::Between(a, b), Reals::Between(c, d)) => Self(Reals::Between(larger(a, c), larger(b, d))),
            _ => Self(Reals::Any),
        }
    }

    fn is_above(&self, other: &Self) -> bool {
        matches!((&self.0, &other.0), (Reals::Between(a, _), Reals::Between(_, d)) if a > d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HighPrecision;
    use crate::test_programs::{for_all, programs};
    use proptest::prelude::*;

    type Narrow = Interval<128>;

    fn holds(interval: &Narrow, number: &HighPrecision) -> bool {
        match &interval.0 {
            Reals::Between(a, b) => a <= number.big() && b >= number.big(),
            Reals::MinusInfinity => false,
            Reals::Any => true,
        }
    }

    #[test]
    fn c23_whatever_is_computed_the_interval_holds_it() {
        for_all(200, programs(), |program| {
            let exact = program.run::<HighPrecision>();
            for (interval, number) in program.run::<Narrow>().into_iter().zip(exact) {
                prop_assert!(holds(&interval, &number), "{interval:?} misses {number:?}");
            }
            Ok(())
        });
    }

    #[test]
    fn digits_that_a_ball_cannot_tell() {
        let number = |value| Interval::<256>::from_f64(value);
        // (1 + 1e-40) - 1, a weight that underflows, and a quotient of two overflowing exponentials.
        let tiny = number(1.0) + number(1e-40) - number(1.0);
        assert_eq!(tiny.certified(), Some(1e-40));
        assert_eq!(number(-800.0).exp().certified(), Some(0.0));
        let below_zero = number(0.0) - number(-800.0).exp();
        assert_eq!(below_zero.certified().map(f64::to_bits), Some(0));
        let quotient = number(800.0).exp() / number(799.0).exp();
        assert_eq!(quotient.certified(), Some(std::f64::consts::E));
        assert_eq!(number(1.0).tanh().certified(), Some(0.7615941559557649));
        assert_eq!(number(1000.0).exp().ln().to_f64(), 1000.0);
    }

    #[test]
    fn exact_zeros_stay_and_infinity_is_kept() {
        let number = |value| Interval::<256>::from_f64(value);
        assert_eq!((number(0.0) * number(3.0)).certified(), Some(0.0));
        assert_eq!(number(0.0).exp(), number(1.0));
        assert_eq!(number(f64::NEG_INFINITY).certified(), Some(f64::NEG_INFINITY));
        assert_eq!(number(f64::NEG_INFINITY).exp().certified(), Some(0.0));
        let zero = number(1.0) / number(3.0) - number(1.0) / number(3.0);
        assert_eq!((number(1.0) / zero.clone()).certified(), None);
        assert_eq!(zero.ln().certified(), None);
    }

    #[test]
    fn wide_intervals_hold_every_combination_of_their_ends() {
        let wide = |low: f64, high: f64| Narrow::around(&[Narrow::big(low), Narrow::big(high)]);
        let (x, y) = (wide(-1.0, 2.0), wide(4.0, 8.0));
        let results = [
            x.clone() + y.clone(),
            x.clone() - y.clone(),
            x.clone() * y.clone(),
            x.clone() / y,
        ];
        for (result, [low, high]) in results
            .iter()
            .zip([[3.0, 10.0], [-9.0, -2.0], [-8.0, 16.0], [-0.25, 0.5]])
        {
            assert!(holds(result, &HighPrecision::from_f64(low)) && holds(result, &HighPrecision::from_f64(high)));
            assert_eq!(result.certified(), None);
        }
        assert_eq!((wide(1.0, 2.0) / x).certified(), None);
    }

    #[test]
    fn an_operation_steps_outwards_by_sixteen_units_in_the_last_place() {
        for x in [3.0, -3.0] {
            let Reals::Between(a, b) = (Narrow::from_f64(x) + Narrow::from_f64(0.0)).0 else {
                panic!("a sum of numbers is between numbers");
            };
            let step = Narrow::big(3.0) >> 124;
            assert_eq!([a, b], [Narrow::big(x) - &step, Narrow::big(x) + &step]);
        }
    }

    #[test]
    fn what_nothing_is_said_about() {
        let number = |value| Interval::<256>::from_f64(value);
        let any = number(1.0) / number(0.0);
        assert_eq!(any, Interval(Reals::Any));
        assert_eq!(
            (any.to_f64(), number(f64::NEG_INFINITY).to_f64(), number(-2.5).to_f64()),
            (0.0, f64::NEG_INFINITY, -2.5)
        );
        assert_eq!(number(0.0).ln(), any);
        assert_eq!([number(-2e9).exp(), number(2e9).exp()], [any.clone(), any.clone()]);
        assert_ne!(number(-LARGEST_EXPONENT).exp(), any);
        assert_ne!(number(LARGEST_EXPONENT).exp(), any);
        assert_eq!(any.larger(&number(1.0)), any);
        assert!(!any.is_above(&number(1.0)));
    }

    #[test]
    fn a_quotient_by_numbers_below_zero_is_told() {
        let number = |value| Interval::<256>::from_f64(value);
        assert_eq!((number(1.0) / number(-3.0)).certified(), Some(-1.0 / 3.0));
        let up_to_one = Interval::<256>(Reals::Between(Big::ZERO, Interval::<256>::big(1.0)));
        assert_eq!(up_to_one.exp().certified(), None);
        assert_eq!((number(1.0) / up_to_one.clone()).certified(), None);
        let from_minus_one = Interval::<256>(Reals::Between(Interval::<256>::big(-1.0), Big::ZERO));
        assert_eq!(from_minus_one.exp().certified(), None);
        assert_eq!((number(1.0) / from_minus_one).certified(), None);
    }

    #[test]
    fn order_and_maximum() {
        let number = |value| Interval::<256>::from_f64(value);
        assert!(number(2.0).is_above(&number(1.0)) && !number(1.0).is_above(&number(1.0)));
        assert_eq!(number(2.0).larger(&number(3.0)).certified(), Some(3.0));
        assert_eq!(number(3.0).larger(&number(2.0)).certified(), Some(3.0));
    }
}
