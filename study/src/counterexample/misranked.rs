//! Two tokens that a score and the truth put in opposite orders, both by a clear margin.

use ndarray::Array1;

/// One number is clearly above another when it is at least a tenth larger ...
const RATIO: f64 = 1.1;

/// ... and at least this much larger, which five printed digits show.
const DIFFERENCE: f64 = 1e-3;

/// A pair of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misranked {
    /// The score puts this one above; the truth says its loss costs less.
    pub above: usize,
    /// The score puts this one below; the truth says its loss costs more.
    pub below: usize,
}

/// The first pair in clearly opposite orders, if there is one; a token that the score protects, by an infinite saliency, is not
/// ranked.
pub(super) fn misranked(saliency: &Array1<f64>, errors: &Array1<f64>) -> Option<Misranked> {
    let tokens = 0..saliency.len();
    let mut pairs = tokens
        .clone()
        .flat_map(|above| tokens.clone().map(move |below| (above, below)));
    pairs
        .find(|&(above, below)| {
            saliency[above].is_finite()
                && clearly_above(saliency[above], saliency[below])
                && clearly_above(errors[below], errors[above])
        })
        .map(|(above, below)| Misranked { above, below })
}

fn clearly_above(larger: f64, smaller: f64) -> bool {
    larger >= RATIO * smaller && larger >= smaller + DIFFERENCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn only_opposite_orders_count() {
        let errors = array![3.0, 2.0, 1.0];
        assert_eq!(misranked(&array![9.0, 4.0, 1.0], &errors), None);
        let found = misranked(&array![9.0, 1.0, 4.0], &errors);
        assert_eq!(found, Some(Misranked { above: 2, below: 1 }));
        assert_eq!(misranked(&array![1.0, 1.0, f64::INFINITY], &errors), None);
    }

    #[test]
    fn both_margins_must_be_clear() {
        assert_eq!(misranked(&array![1.0, 1.09], &array![2.0, 1.0]), None);
        assert_eq!(misranked(&array![1.0, 2.0], &array![1.09, 1.0]), None);
        assert_eq!(misranked(&array![0.0, 1e-4], &array![2.0, 1.0]), None);
        assert!(misranked(&array![0.0, 1e-3], &array![2.0, 1.0]).is_some());
    }
}
