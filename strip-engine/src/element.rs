//! The numbers a cache is stored in.

use faer::traits::ComplexField;

use crate::lanes::Lanes;

/// Storage of query, key and value, and the precision in which the engine runs: `f32` or `f64`.
pub trait Element: Lanes + ComplexField {
    /// The same number in 64 bits, exactly.
    fn to_f64(self) -> f64;

    /// The nearest number of this storage.
    fn from_f64(number: f64) -> Self;
}

impl Element for f32 {
    fn to_f64(self) -> f64 {
        self.into()
    }

    fn from_f64(number: f64) -> Self {
        number as Self
    }
}

impl Element for f64 {
    fn to_f64(self) -> f64 {
        self
    }

    fn from_f64(number: f64) -> Self {
        number
    }
}
