//! The arithmetic that a decoder computes in.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use strip_engine::Element;

/// `f32` or `f64`: what activations are computed in, whatever the weights are stored in.
pub trait Number:
    Element
    + Copy
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Div<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + Sub<Output = Self>
{
    /// 1.
    const ONE: Self;

    /// x / (1 + e^-x), the activation of the feed-forward block.
    fn silu(self) -> Self;
}

impl Number for f32 {
    const ONE: Self = 1.0;

    fn silu(self) -> Self {
        self / (1.0 + (-self).exp())
    }
}

impl Number for f64 {
    const ONE: Self = 1.0;

    fn silu(self) -> Self {
        self / (1.0 + (-self).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silu_by_hand() {
        assert_eq!((0f64.silu(), 0f32.silu()), (0.0, 0.0));
        assert!((3f64.ln().silu() - 0.75 * 3f64.ln()).abs() < 1e-15);
        assert_eq!((f32::MIN.silu(), 1e30f32.silu()), (0.0, 1e30));
    }
}
