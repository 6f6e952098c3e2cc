//! Leverage: how much of a key no other key can replace.
//!
//! ```text
//! diag X (XᵀX)⁻¹ Xᵀ, X the centred keys before their rotation          Compactor, 2507.08143
//! ```
//! Exact: with X = U S Vᵀ the leverage of a token is the squared norm of its row of U, over the singular values above
//! rounding. It lies in [0, 1] and sums to the rank. The paper and kvpress sketch X by a random matrix first and add a
//! little to the diagonal: [`sketched_leverage`], whose result depends on the draw.

use ndarray::{Array1, Array2, Axis};
use ndarray_linalg::error::LinalgError;
use ndarray_linalg::{FactorizeC, JobSvd, SVDDC, SolveC, UPLO};

/// Leverage of every row of `keys`, shape (kv_len), after the rows' mean is taken off. Claim C28.
///
/// # Errors
/// [`LinalgError`] where LAPACK's singular values do not converge.
pub fn leverage(keys: &Array2<f64>) -> Result<Array1<f64>, LinalgError> {
    let (left, singular, _) = centred(keys).svddc(JobSvd::Some)?;
    let Some(left) = left else {
        return Ok(Array1::zeros(keys.nrows()));
    };
    let largest = singular.fold(0.0, |largest: f64, &s| largest.max(s));
    let negligible = largest * keys.nrows().max(keys.ncols()) as f64 * f64::EPSILON;
    Ok(left.map_axis(Axis(1), |row| {
        let axes = row.iter().zip(&singular).filter(|(_, s)| **s > negligible);
        axes.map(|(u, _)| u * u).sum()
    }))
}

/// Leverage of every row of the centred keys times `sketch` of shape (head_dim, sketch_dimension), with `jitter` added to
/// the diagonal of the Gram matrix; kvpress draws the sketch from a normal distribution of variance 1 / sketch_dimension
/// and starts with a jitter of 0.01. Claim C28.
///
/// # Errors
/// [`LinalgError`] where the Gram matrix is not positive definite.
///
/// # Panics
/// Where the sketch does not have head_dim rows.
pub fn sketched_leverage(keys: &Array2<f64>, sketch: &Array2<f64>, jitter: f64) -> Result<Array1<f64>, LinalgError> {
    let sketched = centred(keys).dot(sketch);
    let gram = sketched.t().dot(&sketched) + Array2::<f64>::eye(sketch.ncols()) * jitter;
    let factor = gram.factorizec(UPLO::Lower)?;
    let rows = sketched.rows().into_iter();
    rows.map(|row| Ok(row.dot(&factor.solvec(&row)?).max(0.0))).collect()
}

fn centred(keys: &Array2<f64>) -> Array2<f64> {
    let mean = keys.sum_axis(Axis(0)) / keys.nrows().max(1) as f64;
    keys - &mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Centred: -1, 0, 1 in one channel, sum of squares 2.
        let line = array![[1.0], [2.0], [3.0]];
        assert_relative_eq!(leverage(&line).unwrap(), array![0.5, 0.0, 0.5], epsilon = 1e-15);
        // A token off in a direction of its own has all of it, and a copied channel adds no rank.
        let off = array![[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [3.0, 3.0, 1.0]];
        assert_relative_eq!(
            leverage(&off).unwrap(),
            array![1.0 / 6.0, 1.0 / 6.0, 2.0 / 3.0],
            max_relative = 1e-14
        );
    }

    #[test]
    fn equal_keys_have_none() {
        assert_eq!(leverage(&Array2::ones((3, 2))).unwrap(), array![0.0, 0.0, 0.0]);
    }

    #[test]
    fn jitter_takes_from_all() {
        // Sum of squares 2 and jitter 6: a quarter of the leverage is left.
        let line = array![[1.0], [2.0], [3.0]];
        let sketched = sketched_leverage(&line, &array![[1.0]], 6.0).unwrap();
        assert_relative_eq!(sketched, array![0.125, 0.0, 0.125], max_relative = 1e-15);
        assert!(sketched_leverage(&line, &array![[0.0]], 0.0).is_err());
    }

    #[test]
    fn a_direction_that_rounding_could_have_made_is_none() {
        // 64 tokens, one channel of ±1 and one of ±2·10⁻¹⁵, orthogonal; rounding makes 64 ε = 1.4·10⁻¹⁴.
        let keys = Array2::from_shape_fn((64, 2), |(token, channel)| match channel {
            0 if token % 2 == 0 => 1.0,
            0 => -1.0,
            _ if token % 4 < 2 => 2e-15,
            _ => -2e-15,
        });
        assert_relative_eq!(leverage(&keys).unwrap().sum(), 1.0, max_relative = 1e-12);
    }
}
