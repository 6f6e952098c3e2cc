//! Attention in 64-bit floats.

use crate::Scalar;

/// `libm` instead of the platform's functions: the same bits on every machine.
impl Scalar for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(&self) -> f64 {
        *self
    }

    fn exp(&self) -> Self {
        libm::exp(*self)
    }

    fn ln(&self) -> Self {
        libm::log(*self)
    }

    fn tanh(&self) -> Self {
        libm::tanh(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(<f64 as Scalar>::from_f64(-2.5), -2.5);
        assert_eq!(Scalar::to_f64(&3.5), 3.5);
        assert_eq!(Scalar::exp(&0.5), 1.6487212707001282);
        assert_eq!(Scalar::ln(&10.0), std::f64::consts::LN_10);
        assert_eq!(Scalar::tanh(&1.0), 0.7615941559557649);
    }
}
