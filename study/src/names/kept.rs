//! The budget of a selection.

use std::fmt;

/// Fraction of the tokens kept; displays in percent, `20 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kept(u64);

impl Kept {
    /// The budget that keeps this fraction of the tokens.
    pub fn new(fraction: f64) -> Self {
        Self(fraction.to_bits())
    }

    /// The fraction.
    pub fn fraction(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", 100.0 * self.fraction())
    }
}
