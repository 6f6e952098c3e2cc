//! How many of the tokens that should be kept a score would keep.

use ndarray::Array1;
use obcache_scores::SelectionError;
use obcache_scores::select::{Budget, Protection, select};

/// Share of the `kept` tokens of highest truth that are also among the `kept` of highest score, in [0, 1].
///
/// `None` where nothing is kept.
///
/// # Errors
/// [`SelectionError`] where a number is NaN.
pub fn overlap(score: &Array1<f64>, truth: &Array1<f64>, kept: usize) -> Result<Option<f64>, SelectionError> {
    let top = |saliency| select(saliency, Budget::Tokens(kept), Protection::default());
    let (by_score, by_truth) = (top(score)?, top(truth)?);
    let both = by_score
        .iter()
        .filter(|token| by_truth.binary_search(token).is_ok())
        .count();
    Ok((!by_truth.is_empty()).then(|| both as f64 / by_truth.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn one_of_two() {
        let (score, truth) = (array![9.0, 8.0, 1.0, 0.0], array![9.0, 1.0, 8.0, 0.0]);
        assert_eq!(overlap(&score, &truth, 2), Ok(Some(0.5)));
        assert_eq!(overlap(&score, &truth, 1), Ok(Some(1.0)));
        assert_eq!(overlap(&score, &truth, 0), Ok(None));
    }
}
