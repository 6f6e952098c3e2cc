//! Arithmetic that knows how far off it may be: the digits that are right can be told from those that are not.

use crate::Scalar;

/// A set of reals that is sure to hold the exact result of the same operations on exact numbers.
///
/// | implementation | a number is | what for |
/// |---|---|---|
/// | [`Ball`](crate::Ball) | two f64 and a radius, about 100 significant bits | nearly every number, fast |
/// | [`Interval`](crate::Interval) | two ends of any fixed precision, exponent without bound | the rest |
pub trait Enclosure: Scalar {
    /// The f64 that every number of the set rounds to (to nearest, ties to even); `None` where there is more than one.
    ///
    /// A number that this gives is correct to its last bit. Zeros are positive.
    fn certified(&self) -> Option<f64>;

    /// A set that holds the larger of the two numbers.
    fn larger(&self, other: &Self) -> Self;

    /// Whether the number is sure to be above the other.
    fn is_above(&self, other: &Self) -> bool;
}
