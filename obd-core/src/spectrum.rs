//! How many directions the tokens' perturbations really span.

use ndarray::{Array1, Array2};
use ndarray_linalg::error::LinalgError;
use ndarray_linalg::{EighInto, UPLO};

/// Eigenvalues of a symmetric matrix, ascending, shape (n): those of a Gram matrix are at least 0 up to rounding.
///
/// # Errors
/// LAPACK's, where the matrix is not square or the iteration does not converge.
pub fn eigenvalues(gram: &Array2<f64>) -> Result<Array1<f64>, LinalgError> {
    let (values, _) = gram.clone().eigh_into(UPLO::Lower)?;
    Ok(values)
}

/// Effective rank `exp(-sum p ln p)` with p the eigenvalues over their sum (Roy and Vetterli 2007).
///
/// n for n equal eigenvalues, 1 for a single one; negative rounding counts as 0. 0 where all are 0.
pub fn effective_rank(eigenvalues: &Array1<f64>) -> f64 {
    let positive: Vec<f64> = eigenvalues.iter().copied().filter(|&value| value > 0.0).collect();
    if positive.is_empty() {
        return 0.0;
    }
    let total: f64 = positive.iter().sum();
    let shares = positive.iter().map(|value| value / total);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn eigenvalues_of_a_small_matrix() {
        let values = eigenvalues(&array![[2.0, 1.0], [1.0, 2.0]]).unwrap();
        assert_relative_eq!(values, array![1.0, 3.0], max_relative = 1e-14);
        assert!(eigenvalues(&array![[1.0, 2.0]]).is_err());
    }

    #[test]
    fn effective_rank_counts_equal_directions() {
        assert_relative_eq!(effective_rank(&array![0.0, 2.0, 2.0]), 2.0, max_relative = 1e-14);
        assert_relative_eq!(effective_rank(&array![-1e-17, 5.0]), 1.0, max_relative = 1e-14);
        // Shares 1/4 and 3/4: exp(ln 4 / 4 + (3/4) ln (4/3)) = 4 / 3^(3/4).
        assert_relative_eq!(
            effective_rank(&array![1.0, 3.0]),
            4.0 / 3f64.powf(0.75),
            max_relative = 1e-14
        );
        assert_eq!(effective_rank(&array![0.0]), 0.0);
    }
}
