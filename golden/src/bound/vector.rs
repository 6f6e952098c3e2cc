//! A vector with its errors, by the directions they may point in (section 5 of the derivation).

/// A vector and how far it may be off, in units of the accumulation's roundoff.
#[derive(Debug, Clone)]
pub(super) struct Vector {
    /// Its elements.
    pub elements: Vec<f64>,
    /// Length of an error that may point anywhere.
    pub anywhere: f64,
    /// Errors that are multiples of a direction: how much of it.
    pub along: Vec<(f64, Vec<f64>)>,
    /// Variance of the roundings that each channel makes for itself.
    pub independent: Vec<f64>,
}

impl Vector {
    /// Projection of the error on `w`, per unit of κ u.
    pub fn projected(&self, w: &[f64]) -> f64 {
        let along: f64 = self
            .along
            .iter()
            .map(|(much, direction)| much * dot(w, direction).abs())
            .sum();
        let independent: f64 = w
            .iter()
            .zip(&self.independent)
            .map(|(w, variance)| w * w * variance)
            .sum();
        dot(w, w).sqrt() * self.anywhere + along + independent.sqrt()
    }

    /// Length of the error.
    pub fn length(&self) -> f64 {
        let along: f64 = self
            .along
            .iter()
            .map(|(much, direction)| much * dot(direction, direction).sqrt())
            .sum();
        self.anywhere + along + self.independent.iter().sum::<f64>().sqrt()
    }

    /// The vector times a number that is exact.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            elements: self.elements.iter().map(|x| x * factor).collect(),
            anywhere: self.anywhere * factor,
            along: self
                .along
                .into_iter()
                .map(|(much, direction)| (much * factor, direction))
                .collect(),
            independent: self
                .independent
                .iter()
                .map(|variance| variance * factor * factor)
                .collect(),
        }
    }

    /// This vector, each of whose channels errs for itself, minus another, rounded.
    pub fn minus(&self, other: Self) -> Self {
        let elements: Vec<f64> = self.elements.iter().zip(&other.elements).map(|(v, o)| v - o).collect();
        let variances = self.independent.iter().zip(&other.independent).zip(&elements);
        Self {
            independent: variances
                .map(|((value, output), gap)| value + output + gap * gap)
                .collect(),
            elements,
            ..other
        }
    }
}

/// `Σ a b`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_is_projected() {
        let vector = Vector {
            anywhere: 0.5,
            along: vec![(2.0, vec![0.0, 1.0])],
            independent: vec![9.0, 0.0],
            elements: vec![1.0, 0.0],
        };
        // On (1, 0): 0.5 anywhere, nothing along (0, 1), 3 of the first channel's own.
        assert_eq!(vector.projected(&[1.0, 0.0]), 3.5);
        assert_eq!(vector.projected(&[0.0, 1.0]), 2.5);
        assert_eq!(vector.length(), 5.5);
    }
}
