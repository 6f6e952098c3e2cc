//! Rank correlation by Spearman and Kendall, and Pearson's correlation of the logarithms.
//!
//! All give `None` where a correlation does not exist: fewer than two pairs, or one side constant.

use ndarray::Array2;
use ndarray_stats::CorrelationExt;
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker};

/// Spearman's rank correlation, ties at their mean rank.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    let ranks = |values: &[f64]| Data::new(values.to_vec()).ranks(RankTieBreaker::Average);
    pearson(&ranks(x), &ranks(y))
}

/// Kendall's tau-b, ties accounted for.
pub fn kendall(x: &[f64], y: &[f64]) -> Option<f64> {
    let (tau, _) = kendalls::tau_b_with_comparator(x, y, |a: &f64, b: &f64| a.total_cmp(b)).ok()?;
    tau.is_finite().then_some(tau)
}

/// Pearson's correlation of the logarithms, over the pairs in which both numbers are above 0.
pub fn log_pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let pairs = x.iter().zip(y).filter(|(x, y)| **x > 0.0 && **y > 0.0);
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.map(|(x, y)| (x.ln(), y.ln())).unzip();
    pearson(&x, &y)
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() < 2 || x.len() != y.len() {
        return None;
    }
    let rows = Array2::from_shape_vec((2, x.len()), [x, y].concat()).ok()?;
    let correlation = rows.pearson_correlation().ok()?[[0, 1]];
    correlation.is_finite().then_some(correlation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    const X: [f64; 7] = [1.0, 2.0, 2.0, 4.0, 5.0, 3.0, 9.0];
    const Y: [f64; 7] = [2.0, 1.0, 4.0, 4.0, 7.0, 3.0, 5.0];

    // Expected values from SciPy 1.17.1: spearmanr, kendalltau and pearsonr of the logarithms.

    #[test]
    fn ties_are_ranked_as_scipy_ranks_them() {
        assert_relative_eq!(spearman(&X, &Y).unwrap(), 0.8090909090909091, max_relative = 1e-14);
        assert_relative_eq!(kendall(&X, &Y).unwrap(), 0.65, max_relative = 1e-14);
        assert_relative_eq!(log_pearson(&X, &Y).unwrap(), 0.6680701921490146, max_relative = 1e-14);
    }

    #[test]
    fn zeros_have_no_logarithm() {
        let (x, y) = ([0.0, 1.0, 2.0, 4.0], [5.0, 0.0, 8.0, 32.0]);
        assert_relative_eq!(log_pearson(&x, &y).unwrap(), 1.0, max_relative = 1e-14);
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        for correlation in [spearman, kendall, log_pearson] {
            assert_eq!(correlation(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
            assert_eq!(correlation(&[1.0], &[1.0]), None);
            assert_eq!(correlation(&[], &[]), None);
        }
    }
}
