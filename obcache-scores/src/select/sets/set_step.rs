//! A step from one kept set to the next: a token leaves it, or joins it.

/// A candidate that leaves less than this of the weight is judged by what survives: the carried form multiplies rounding
/// by the square of b / (1 - b), at most 10^6 of 2^-53, so ten digits stand.
const LITTLE: f64 = 1e-3;

/// What the step does to its token.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum SetStep {
    /// The token leaves the kept ones.
    Evict,
    /// The token joins them.
    Add,
}

impl SetStep {
    /// What the step does to the weight that is left: 1 adds, -1 takes off.
    pub fn sign(self) -> f64 {
        match self {
            Self::Evict => -1.0,
            Self::Add => 1.0,
        }
    }

    /// The kept tokens, ascending, after the step with each of `tokens`.
    pub fn applied(self, kept: &[usize], tokens: &[usize]) -> Vec<usize> {
        let mut after = match self {
            Self::Evict => kept.iter().copied().filter(|token| !tokens.contains(token)).collect(),
            Self::Add => [kept, tokens].concat(),
        };
        after.sort_unstable();
        after
    }

    /// The row's weight, `kept` before, after a step with a candidate of that weight.
    pub fn left(self, kept: f64, weight: f64) -> f64 {
        kept + self.sign() * weight
    }

    /// Whether what the step leaves is enough to divide by.
    pub fn divides(self, kept: f64, weight: f64) -> bool {
        self.left(kept, weight) >= LITTLE * kept
    }

    /// f; 0 where neither before nor after anything is seen.
    pub fn factor(self, kept: f64, weight: f64) -> f64 {
        let left = self.left(kept, weight);
        let odds = weight / left;
        if left > 0.0 { -self.sign() * odds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_or_join_in_order() {
        assert_eq!(SetStep::Evict.applied(&[1, 3, 5], &[5, 1]), [3]);
        assert_eq!(SetStep::Add.applied(&[1, 5], &[7, 3]), [1, 3, 5, 7]);
    }

    #[test]
    fn a_step_leaves_its_share() {
        assert_eq!(
            (SetStep::Evict.left(1.0, 0.25), SetStep::Evict.factor(1.0, 0.25)),
            (0.75, 1.0 / 3.0)
        );
        assert_eq!(
            (SetStep::Add.left(1.0, 0.25), SetStep::Add.factor(1.0, 0.25)),
            (1.25, -0.2)
        );
        assert_eq!(
            (SetStep::Evict.factor(0.0, 0.0), SetStep::Add.factor(0.0, 0.0)),
            (0.0, 0.0)
        );
        assert_eq!(SetStep::Add.factor(0.0, 0.5), -1.0);
        assert!(SetStep::Evict.divides(1.0, 0.999) && !SetStep::Evict.divides(1.0, 0.99901));
        assert!(SetStep::Evict.divides(0.5, 0.4994) && !SetStep::Evict.divides(0.5, 0.4996));
    }
}
