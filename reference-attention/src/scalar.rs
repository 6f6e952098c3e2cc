//! The arithmetic that attention needs, and nothing more.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Sub};

/// A number that attention can be computed in.
///
/// | implementation | what for |
/// |---|---|
/// | `f64` | the reference itself, through `libm`, so that it gives the same bits on every machine |
/// | `num_dual::Dual64` | first derivatives: the Jacobian of claim C3 |
/// | `num_dual::HyperDual64` | mixed second derivatives: the Hessian of claim C2 |
/// | [`HighPrecision`](crate::HighPrecision) | digits beyond f64: which of two f64 results is right |
/// | [`Ball`](crate::Ball), [`Interval`](crate::Interval) | digits that are sure, by an error bound that is computed along |
pub trait Scalar:
    Clone + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The number equal to `value`, constant in every derivative.
    fn from_f64(value: f64) -> Self;

    /// The value, derivatives dropped, rounded to nearest.
    fn to_f64(&self) -> f64;

    /// The natural exponential.
    fn exp(&self) -> Self;

    /// The natural logarithm of a positive number.
    fn ln(&self) -> Self;

    /// The hyperbolic tangent.
    fn tanh(&self) -> Self;
}
