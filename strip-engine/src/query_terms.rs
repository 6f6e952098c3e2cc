//! What the sweep needs of a query after its softmax: the numbers that are the same for every token.

use crate::element::Element;
use crate::first::Gap;
use crate::weights::Weights;

/// What the sweep needs of a query. Logits enter as x, measured from the others' shift.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTerms<T> {
    /// What is subtracted from a stored logit to give x.
    pub shift: T,
    /// Weight of a token with x = 0.
    pub unit_weight: T,
    /// ‖o - mean value‖².
    pub norm: T,
    /// ½‖o - mean‖² + mean·(o - mean).
    pub half: T,
    /// What is added to x to give the logit, the log of the weight, and the logit above the mean.
    pub levels: [T; 3],
    /// e^-lse, the weight of a token over its e^logit, and what it is measured in: 1, or e^lse where that is less.
    pub zeroed: T,
    pub scale: T,
    /// Squared scale, twice scale times `zeroed`, and `zeroed`² ‖o‖².
    pub joint: [T; 3],
}

impl<T: Element> Default for QueryTerms<T> {
    /// A query that sees nothing.
    fn default() -> Self {
        let zero = T::default();
        Self {
            shift: zero,
            unit_weight: zero,
            norm: zero,
            half: zero,
            levels: [zero; 3],
            zeroed: zero,
            scale: T::UNIT,
            joint: [zero; 3],
        }
    }
}

impl<T: Element> QueryTerms<T> {
    /// From a query's weights and its output.
    pub fn new(weights: &Weights, gap: &Gap) -> Self {
        let lse = weights.log_sum_exp;
        let (zeroed, scale) = if lse >= 0.0 {
            ((-lse).exp(), 1.0)
        } else {
            (1.0, lse.exp())
        };
        let logit = weights.others.shift + weights.offset;
        Self {
            shift: T::from_f64(weights.others.shift),
            unit_weight: T::from_f64(weights.unit),
            norm: T::from_f64(gap.packed_norm),
            half: T::from_f64(0.5 * gap.packed_norm + gap.along_mean),
            levels: [logit, logit - lse, -weights.mean].map(T::from_f64),
            zeroed: T::from_f64(zeroed),
            scale: T::from_f64(scale),
            joint: [scale * scale, 2.0 * scale * zeroed, zeroed * zeroed * gap.output_norm].map(T::from_f64),
        }
    }
}
