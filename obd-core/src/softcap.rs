//! A soft cap keeps every logit inside (-cap, cap).

use crate::ProblemError;

/// Logit soft-cap `c tanh(z / c)`, applied to the scaled logits before bias and mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softcap(f64);

impl Softcap {
    /// A soft-cap with bound `cap`.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`] unless `cap` is finite and positive.
    pub fn new(cap: f64) -> Result<Self, ProblemError> {
        if cap.is_finite() && cap > 0.0 {
            Ok(Self(cap))
        } else {
            Err(ProblemError::Parameter {
                parameter: "softcap",
                value: cap,
                expected: "a finite number above 0",
            })
        }
    }

    /// The bound c.
    pub fn cap(self) -> f64 {
        self.0
    }

    /// The capped logit `c tanh(z / c)`.
    pub fn value(self, logit: f64) -> f64 {
        self.0 * (logit / self.0).tanh()
    }

    /// The derivative `1 - tanh²(z / c)` of [`Softcap::value`]. Claim C3.
    ///
    /// Written as `1 / cosh²`, which keeps its digits where tanh nears 1.
    pub fn slope(self, logit: f64) -> f64 {
        (logit / self.0).cosh().powi(-2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn a_cap_must_be_positive_and_finite() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Softcap::new(bad).is_err());
        }
        assert_eq!(Softcap::new(30.0).unwrap().cap(), 30.0);
    }

    #[test]
    fn by_hand_at_the_cap_itself() {
        // tanh(1) = 0.7615941559557649, 1 - tanh²(1) = 0.41997434161402614
        let softcap = Softcap::new(2.0).unwrap();
        assert_relative_eq!(softcap.value(2.0), 2.0 * 0.7615941559557649, max_relative = 1e-15);
        assert_relative_eq!(softcap.slope(2.0), 0.41997434161402614, max_relative = 1e-15);
    }
}
