//! CAOTE: what a token's eviction does to the output of one query, or of a query made up from any score.
//!
//! ```text
//! a_j / (1 - a_j) ‖v_j - o‖, o = sum_l a_l v_l          2504.14051
//! FastCAOTE: o replaced by the mean of the values
//! ```
//! Exact for one query and one token, the root of exact removal (C12). As a meta-score, a base score normalised to sum 1
//! takes the place of a: then it is exact for a query with those weights and a heuristic for the queries behind the score.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::{KvGroup, Missing};

/// CAOTE over a base score of non-negative, finite numbers, shape (kv_len); it is normalised to sum 1 here. Written as
/// a ‖v - o'‖, o' the output without the token, which survives a weight near 1; a sole weight costs ‖v‖. All 0 where
/// the base is. Claim C25.
///
/// # Errors
/// [`Missing::Base`] where `base` is not of shape (kv_len), or holds a negative or infinite number or NaN.
pub fn caote(group: &KvGroup, base: &Array1<f64>) -> Result<Array1<f64>, Missing> {
    let weights = normalised(group, base)?;
    let weighted = group.value() * &weights.view().insert_axis(Axis(1));
    let others = all_but_one(&weighted);
    let rest = all_but_one(&weights.view().insert_axis(Axis(1)).to_owned());
    Ok(Array1::from_shape_fn(group.kv_len(), |token| {
        let without = match rest[[token, 0]] {
            0.0 => Array1::zeros(group.value().ncols()),
            rest => &others.row(token) / rest,
        };
        weights[token] * distance(group.value().row(token), without.view())
    }))
}

/// FastCAOTE over a base score, shape (kv_len), as [`caote`] takes it; infinite where a token holds all of the base.
/// Claim C25.
///
/// # Errors
/// [`Missing::Base`] as [`caote`].
pub fn fast_caote(group: &KvGroup, base: &Array1<f64>) -> Result<Array1<f64>, Missing> {
    let weights = normalised(group, base)?;
    let mean = group.value().sum_axis(Axis(0)) / group.kv_len() as f64;
    let rest = all_but_one(&weights.view().insert_axis(Axis(1)).to_owned());
    Ok(Array1::from_shape_fn(group.kv_len(), |token| match rest[[token, 0]] {
        0.0 if weights[token] > 0.0 => f64::INFINITY,
        0.0 => 0.0,
        rest => weights[token] / rest * distance(group.value().row(token), mean.view()),
    }))
}

fn normalised(group: &KvGroup, base: &Array1<f64>) -> Result<Array1<f64>, Missing> {
    if base.len() != group.kv_len() || base.iter().any(|&x| !(x.is_finite() && x >= 0.0)) {
        return Err(Missing::Base);
    }
    match base.sum() {
        sum if sum > 0.0 => Ok(base / sum),
        _ => Ok(base.clone()),
    }
}

/// Per row the sum of all other rows, from the sums before it and after it: nothing is subtracted.
fn all_but_one(rows: &Array2<f64>) -> Array2<f64> {
    let mut sums = Array2::zeros(rows.dim());
    let mut before = Array1::zeros(rows.ncols());
    for (mut sum, row) in sums.rows_mut().into_iter().zip(rows.rows()) {
        sum += &before;
        before += &row;
    }
    let mut after = Array1::zeros(rows.ncols());
    for (mut sum, row) in sums.rows_mut().into_iter().zip(rows.rows()).rev() {
        sum += &after;
        after += &row;
    }
    sums
}

fn distance(from: ArrayView1<f64>, to: ArrayView1<f64>) -> f64 {
    from.iter().zip(to).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn group() -> KvGroup {
        KvGroup::new(vec![(logs(), trace(&logs()))]).unwrap()
    }

    #[test]
    fn by_hand() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0: output 2, gaps 6, 2, 2; mean of the values 4, gaps 4, 0, 4.
        let base = array![1.0, 2.0, 5.0];
        let exact = array![6.0 / 7.0, 4.0 / 6.0, 10.0 / 3.0];
        assert_relative_eq!(caote(&group(), &base).unwrap(), exact, max_relative = 1e-14);
        let fast = array![4.0 / 7.0, 0.0, 20.0 / 3.0];
        assert_relative_eq!(fast_caote(&group(), &base).unwrap(), fast, max_relative = 1e-14);
    }

    #[test]
    fn one_token_that_holds_nearly_all() {
        // Weight 1 - 2e-20, the others 1e-20 each with values 8 and 4: the output without it is 6.
        let saliency = caote(&group(), &array![1e-20, 1e-20, 1.0]).unwrap();
        assert_relative_eq!(saliency[2], 6.0, max_relative = 1e-14);
        assert_relative_eq!(
            fast_caote(&group(), &array![1e-20, 1e-20, 1.0]).unwrap()[2],
            2e20,
            max_relative = 1e-14
        );
    }

    #[test]
    fn one_token_that_holds_all() {
        let sole = array![1.0, 0.0, 0.0];
        assert_eq!(caote(&group(), &sole).unwrap(), array![8.0, 0.0, 0.0]);
        assert_eq!(fast_caote(&group(), &sole).unwrap(), array![f64::INFINITY, 0.0, 0.0]);
        assert_eq!(caote(&group(), &array![0.0, 0.0, 0.0]).unwrap(), array![0.0, 0.0, 0.0]);
        assert_eq!(
            fast_caote(&group(), &array![0.0, 0.0, 0.0]).unwrap(),
            array![0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for base in [
            array![1.0],
            array![1.0, -1.0, 1.0],
            array![1.0, f64::NAN, 1.0],
            array![f64::INFINITY, 1.0, 1.0],
        ] {
            assert_eq!(caote(&group(), &base), Err(Missing::Base));
            assert_eq!(fast_caote(&group(), &base), Err(Missing::Base));
        }
    }
}
