//! A number with its sensitivity (section 5 of the derivation).

use super::contribution::Term;
use super::vector::Vector;

/// A number with its sensitivity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scalar {
    pub size: f64,
    pub sensitivity: f64,
}

impl Scalar {
    /// Sensitivity relative to the size; 0 for a number that is 0, whose products are 0.
    pub fn relative(self) -> f64 {
        if self.size == 0.0 {
            0.0
        } else {
            self.sensitivity / self.size.abs()
        }
    }

    /// The product, rounded.
    pub fn times(self, other: Self) -> Self {
        let size = self.size * other.size;
        Self {
            size,
            sensitivity: self.size.abs() * other.sensitivity + other.size.abs() * self.sensitivity + size.abs(),
        }
    }

    /// The scalar as a factor of a vector.
    pub fn of(self, vector: &Vector) -> Term<'_> {
        Term {
            scalar: self.size,
            sensitivity: self.sensitivity,
            vector,
        }
    }
}
