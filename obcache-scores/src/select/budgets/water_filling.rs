//! Water-filling evicts the lowest scores wherever they are: the best budgets if errors add up.
//!
//! ```text
//! minimise sum_h sum_(j evicted from h) e_hj   subject to   sum_h kept_h = total, kept_h >= floor
//! ```
//! A head that keeps b tokens keeps its b largest errors; what the next token is worth falls with b, so taking the largest errors
//! over all heads is optimal. Exact for the additive model, in which a set costs the sum of its tokens' errors; real
//! sets do not (C13).

use ndarray::Array1;

use crate::SelectionError;

/// Tokens that each head keeps, of `total` over all heads: the highest saliencies over all heads, after each head has kept
/// its own best `floor` (all its tokens where it has fewer). Of equals those of the later head are kept, and then the newer.
/// Claim C34.
///
/// # Errors
/// [`SelectionError::NotANumber`] where a saliency is NaN; [`SelectionError::Protected`] where the floors exceed `total`.
///
/// ```
/// use ndarray::array;
/// use obcache_scores::select::budgets::water_filling;
///
/// let errors = [array![9.0, 8.0, 7.0], array![6.0, 1.0, 0.0]];
/// assert_eq!(water_filling(&errors, 4, 0).unwrap(), [3, 1]);
/// assert_eq!(water_filling(&errors, 4, 2).unwrap(), [2, 2]);
/// ```
pub fn water_filling(saliencies: &[Array1<f64>], total: usize, floor: usize) -> Result<Vec<usize>, SelectionError> {
    for saliency in saliencies {
        if let Some(token) = saliency.iter().position(|s| s.is_nan()) {
            return Err(SelectionError::NotANumber(token));
        }
    }
    let mut budgets: Vec<usize> = saliencies.iter().map(|saliency| floor.min(saliency.len())).collect();
    let protected = budgets.iter().sum();
    let Some(open) = total.checked_sub(protected) else {
        return Err(SelectionError::Protected {
            protected,
            budget: total,
        });
    };
    let mut candidates: Vec<(f64, usize)> = Vec::new();
    for (head, saliency) in saliencies.iter().enumerate() {
        let mut ranked = saliency.to_vec();
        ranked.sort_by(|a, b| b.total_cmp(a));
        candidates.extend(ranked.into_iter().skip(floor).map(|saliency| (saliency, head)));
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    for (_, head) in candidates.into_iter().take(open) {
        budgets[head] += 1;
    }
    Ok(budgets)
}

/// What `budgets` cost if errors add up: the sum over the heads of all but their largest `budgets` errors, shape of
/// `errors` one (kv_len) a head. Claim C34.
pub fn additive_error(errors: &[Array1<f64>], budgets: &[usize]) -> f64 {
    let heads = errors.iter().zip(budgets);
    heads
        .map(|(errors, &budget)| {
            let mut ranked = errors.to_vec();
            ranked.sort_by(|a, b| b.total_cmp(a));
            ranked.iter().skip(budget).sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_highest_of_all_heads_are_kept() {
        let errors = [array![5.0, 1.0, 4.0], array![3.0, 2.0, 0.0]];
        assert_eq!(water_filling(&errors, 3, 0).unwrap(), [2, 1]);
        assert_eq!(additive_error(&errors, &[2, 1]), 3.0);
        assert_eq!(water_filling(&errors, 9, 0).unwrap(), [3, 3]);
        assert_eq!(additive_error(&errors, &[9, 9]), 0.0);
        assert_eq!(water_filling(&errors, 0, 0).unwrap(), [0, 0]);
    }

    #[test]
    fn a_floor_comes_first() {
        let errors = [array![9.0, 8.0, 7.0, 6.0], array![1.0, 0.5]];
        assert_eq!(water_filling(&errors, 4, 1).unwrap(), [3, 1]);
        assert_eq!(water_filling(&errors, 6, 3).unwrap(), [4, 2]);
        let refused = SelectionError::Protected {
            protected: 5,
            budget: 4,
        };
        assert_eq!(water_filling(&errors, 4, 3), Err(refused));
    }

    #[test]
    fn equals_and_nonsense() {
        assert_eq!(water_filling(&[array![1.0], array![1.0]], 1, 0).unwrap(), [0, 1]);
        let nan = water_filling(&[array![1.0], array![0.0, f64::NAN]], 1, 0);
        assert_eq!(nan, Err(SelectionError::NotANumber(1)));
    }
}
