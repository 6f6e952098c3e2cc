//! The floating-point formats that a kernel may compute in, and rounding to them.

use crate::Dtype;

/// A binary floating-point format.
///
/// | format | significant bits | smallest normal | largest |
/// |---|---|---|---|
/// | `F64` | 53 | 2⁻¹⁰²² | 1.8e308 |
/// | `F32` | 24 | 2⁻¹²⁶ | 3.4e38 |
/// | `Tf32` | 11 | 2⁻¹²⁶ | 3.4e38 |
/// | `F16` | 11 | 2⁻¹⁴ | 65504 |
/// | `Bf16` | 8 | 2⁻¹²⁶ | 3.4e38 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Precision {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// What a tensor core keeps of a 32-bit operand unless told otherwise.
    Tf32,
    /// IEEE binary16.
    F16,
    /// The upper half of binary32.
    Bf16,
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }
}

impl Precision {
    /// The name, as in error messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    fn significant_bits(self) -> i32 {
        match self {
            Self::F64 => 53,
            Self::F32 => 24,
            Self::Tf32 | Self::F16 => 11,
            Self::Bf16 => 8,
        }
    }

    /// Exponents of the smallest normal number and of the first power of two beyond the range.
    fn exponents(self) -> (i32, i32) {
        match self {
            Self::F64 => (-1022, 1024),
            Self::F32 | Self::Tf32 | Self::Bf16 => (-126, 128),
            Self::F16 => (-14, 16),
        }
    }

    /// Half the distance from 1 to the next number: the largest relative error of one rounding.
    pub fn unit_roundoff(self) -> f64 {
        2f64.powi(-self.significant_bits())
    }

    /// The smallest number that keeps all its digits; many kernels flush what is smaller to 0.
    pub fn smallest_normal(self) -> f64 {
        2f64.powi(self.exponents().0)
    }

    /// The nearest number of this format, ties to even, infinite beyond its range.
    ///
    /// One operation on numbers of a format of at most 24 bits, done in f64 and rounded so, is that operation rounded
    /// once: 53 ≥ 2·24 + 2 (Figueroa 1995).
    pub fn round(self, number: f64) -> f64 {
        match self {
            Self::F64 => number,
            Self::F32 => f64::from(number as f32),
            _ => self.round_bits(number),
        }
    }

    fn round_bits(self, number: f64) -> f64 {
        if number.abs() < self.smallest_normal() {
            let quantum = self.smallest_normal() * 2.0 * self.unit_roundoff();
            return (number / quantum).round_ties_even() * quantum;
        }
        if !number.is_finite() {
            return number;
        }
        let dropped = 53 - self.significant_bits();
        let bits = number.to_bits();
        let half = (1u64 << (dropped - 1)) - 1 + (bits >> dropped & 1);
        let rounded = f64::from_bits((bits + half) >> dropped << dropped);
        if rounded.abs() < 2f64.powi(self.exponents().1) {
            rounded
        } else {
            f64::INFINITY.copysign(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_with_the_stored_formats() {
        for dtype in Dtype::ALL {
            let precision = Precision::from(dtype);
            assert_eq!(precision.unit_roundoff(), dtype.unit_roundoff());
            for exponent in -160..140 {
                for step in 0..40 {
                    let number = (1.0 + f64::from(step) / 37.0) * 2f64.powi(exponent);
                    assert_eq!(precision.round(number), dtype.round(number), "{dtype:?} {number:e}");
                    assert_eq!(precision.round(-number), -dtype.round(number), "{dtype:?} -{number:e}");
                }
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_infinities_stay() {
        let u = Precision::Tf32.unit_roundoff();
        assert_eq!(Precision::Tf32.round(1.0 + u), 1.0);
        assert_eq!(Precision::Tf32.round(1.0 + 3.0 * u), 1.0 + 4.0 * u);
        assert_eq!(Precision::F16.round(65519.0), 65504.0);
        assert_eq!(Precision::F16.round(-65520.0), f64::NEG_INFINITY);
        assert_eq!(Precision::Bf16.round(f64::INFINITY), f64::INFINITY);
        assert!(Precision::F16.round(f64::NAN).is_nan());
        assert_eq!(Precision::F64.round(0.1), 0.1);
    }

    #[test]
    fn subnormals_lose_their_digits_one_by_one() {
        let smallest = 2f64.powi(-24);
        assert_eq!(Precision::F16.round(smallest * 1.4), smallest);
        assert_eq!(Precision::F16.round(smallest * 0.5), 0.0);
        assert_eq!(Precision::F16.round(smallest * 1.5), 2.0 * smallest);
    }
}
