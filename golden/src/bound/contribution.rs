//! What one query adds to one saliency: the squared norm of `w = Σ s_t y_t`, scalars times vectors.
//!
//! With w off by δw the square is off by `2 w·δw + ‖δw‖²`, and so much more in its own roundings (section 5 of the
//! derivation). The kinds of saliency differ only in their scalars and vectors.

use super::vector::{Vector, dot};

/// A scalar with its sensitivity, times a vector.
#[derive(Debug, Clone)]
pub(super) struct Term<'a> {
    pub scalar: f64,
    pub sensitivity: f64,
    pub vector: &'a Vector,
}

/// A contribution, its sensitivity, and the length by which w may be off.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Contribution {
    pub size: f64,
    pub first: f64,
    pub length: f64,
}

impl Contribution {
    /// The squared norm of the sum of `terms`; `additions` are the roundings of the sum over the channels.
    pub fn squared_norm(terms: &[Term<'_>], additions: f64) -> Self {
        let Some(first) = terms.first() else {
            // A sum of nothing is 0, exactly.
            return Self::default();
        };
        let channels = first.vector.elements.len();
        let part = |term: &Term<'_>, c: usize| term.scalar * term.vector.elements[c];
        let w: Vec<f64> = (0..channels)
            .map(|c| terms.iter().map(|term| part(term, c)).sum())
            .collect();
        let rounded: Vec<f64> = (0..channels)
            .map(|c| terms.iter().map(|term| part(term, c).powi(2)).sum::<f64>() + w[c] * w[c])
            .collect();
        let roundings: f64 = w.iter().zip(&rounded).map(|(w, variance)| w * w * variance).sum();
        let mut projected = roundings.sqrt();
        let mut length = rounded.iter().sum::<f64>().sqrt();
        for term in terms {
            let elements = &term.vector.elements;
            projected += dot(&w, elements).abs() * term.sensitivity + term.scalar.abs() * term.vector.projected(&w);
            length += dot(elements, elements).sqrt() * term.sensitivity + term.scalar.abs() * term.vector.length();
        }
        let size = dot(&w, &w);
        Self {
            size,
            first: 2.0 * projected + size * (additions + 4.0).sqrt(),
            length,
        }
    }

    /// A product of positive numbers, of the given relative sensitivity.
    pub fn product(size: f64, relative: f64) -> Self {
        Self {
            size,
            first: size * relative,
            length: 0.0,
        }
    }

    /// Two contributions of one query, which may share their roundings.
    pub fn plus(self, other: Self) -> Self {
        Self {
            size: self.size + other.size,
            first: self.first + other.first,
            length: self.length.hypot(other.length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(elements: [f64; 2]) -> Vector {
        Vector {
            elements: elements.to_vec(),
            anywhere: 0.0,
            along: Vec::new(),
            independent: vec![0.0; 2],
        }
    }

    #[test]
    fn by_hand_with_an_exact_vector() {
        // w = 2 (3, 4): size 100. w·y = 50, so a scalar off by 0.1 moves the square by 2 · 5; each channel rounds
        // its product and w itself, 2 w²: (6² 2 6² + 8² 2 8²)^½ = (2592 + 8192)^½; the sum has 2 additions and 4 more.
        let term = Term {
            scalar: 2.0,
            sensitivity: 0.1,
            vector: &exact([3.0, 4.0]),
        };
        let contribution = Contribution::squared_norm(&[term], 2.0);
        assert_eq!(contribution.size, 100.0);
        let expected = 2.0 * (5.0 + 10784f64.sqrt()) + 100.0 * 6f64.sqrt();
        assert!((contribution.first - expected).abs() < 1e-12);
        assert!((contribution.length - (200f64.sqrt() + 0.5)).abs() < 1e-12);
    }
}
