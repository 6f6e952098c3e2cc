//! The number formats that a case's inputs are stored in.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Format of query, key, value and sink logits. The truth is computed from the numbers after rounding to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Dtype {
    /// 32-bit floats, 24 significant bits.
    F32,
    /// 16-bit floats with 11 significant bits, largest number 65504.
    F16,
    /// 16-bit floats with 8 significant bits and the range of f32.
    Bf16,
}

impl Dtype {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// The name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Half the distance from 1 to the next number: the largest relative error of one rounding.
    pub fn unit_roundoff(self) -> f64 {
        match self {
            Self::F32 => 1.0 / 16_777_216.0,
            Self::F16 => 1.0 / 2048.0,
            Self::Bf16 => 1.0 / 256.0,
        }
    }

    /// The nearest number of this format, ties to even, infinite beyond its range.
    pub fn round(self, number: f64) -> f64 {
        match self {
            Self::F32 => f64::from(number as f32),
            Self::F16 => f16::from_f32(to_odd(number)).to_f64(),
            Self::Bf16 => bf16::from_f32(to_odd(number)).to_f64(),
        }
    }
}

/// The f32 next to `number` whose last bit is odd, or `number` itself: rounding it again gives what rounding `number`
/// once would have given.
fn to_odd(number: f64) -> f32 {
    let nearest = number as f32;
    let bits = nearest.to_bits();
    if f64::from(nearest) == number || bits % 2 == 1 || number.is_nan() {
        nearest
    } else if f64::from(nearest).abs() < number.abs() {
        f32::from_bits(bits + 1)
    } else {
        f32::from_bits(bits - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        // 1 + u lies halfway between 1 and 1 + 2u, and 1 is even; 1 + 3u lies halfway below the even 1 + 4u.
        for dtype in Dtype::ALL {
            let u = dtype.unit_roundoff();
            assert_eq!(dtype.round(1.0 + u), 1.0, "{}", dtype.name());
            assert_eq!(dtype.round(1.0 + 3.0 * u), 1.0 + 4.0 * u, "{}", dtype.name());
            // Just above halfway, by less than an intermediate f32 would keep.
            assert_eq!(dtype.round(1.0 + u + 1e-14), 1.0 + 2.0 * u, "{}", dtype.name());
        }
    }

    #[test]
    fn the_range_ends_where_it_should() {
        assert_eq!(Dtype::F16.round(65504.0), 65504.0);
        assert_eq!(Dtype::F16.round(65520.0), f64::INFINITY);
        assert!(Dtype::Bf16.round(1e38).is_finite());
        assert_eq!(Dtype::Bf16.round(-1e39), f64::NEG_INFINITY);
        assert_eq!(Dtype::F16.round(2f64.powi(-24)), 2f64.powi(-24));
        assert_eq!(Dtype::F16.round(1e-300), 0.0);
    }
}
