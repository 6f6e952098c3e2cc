//! How large numbers may be, so that whatever is computed from them stays finite.
//!
//! ```text
//! |s| sum_c |q_ic k_jc| + |b_ij| <= LIMIT     every pair, hidden ones included: the softmax input and all its parts
//! |sink| <= LIMIT,  |v_jc| <= LIMIT           sink logit and values
//! ```
//! The largest thing that is squared downstream is `v + r (v - o)` with r a logit less a reference level, the
//! log-sum-exp or a mean: |r| < 2.1 LIMIT, so each channel is below 5 LIMIT² and a sum of 2^64 squares below 10^302
//! (docs/derivations/invariances.md, claim C19). Greedy removal's odds, at most 10^3, multiply values alone. No f32 value comes near; a logit of 10^70 is no attention.

use ndarray::{Array2, ArrayView1};

use crate::ProblemError;

/// The largest magnitude of a softmax input, of a sink logit and of a value. Claim C19.
pub const LIMIT: f64 = 1e70;

/// Refuses the value of `token` where an element is beyond [`LIMIT`].
pub(crate) fn check_value(token: usize, elements: ArrayView1<f64>) -> Result<(), ProblemError> {
    match elements.iter().position(|element| element.abs() > LIMIT) {
        Some(column) => Err(ProblemError::TooLarge {
            tensor: "value",
            row: token,
            column,
            value: elements[column],
            limit: LIMIT,
        }),
        None => Ok(()),
    }
}

/// Refuses a sink logit that is not finite or beyond [`LIMIT`].
pub(crate) fn check_sink(sink: f64) -> Result<(), ProblemError> {
    if sink.abs() <= LIMIT {
        return Ok(());
    }
    Err(ProblemError::Parameter {
        parameter: "sink",
        value: sink,
        expected: "a finite number of at most 1e70 either way",
    })
}

/// Refuses the first pair whose softmax input may exceed [`LIMIT`]; `bias(query, token)` joins it.
///
/// The largest query channel, key channel and `largest_bias` settle all but hopeless problems in one pass over the
/// tensors; only where that bound is too large are the pairs looked at one by one.
pub(crate) fn check_logits(
    query: &Array2<f64>,
    key: &Array2<f64>,
    scale: f64,
    largest_bias: f64,
    bias: impl Fn(usize, usize) -> f64,
) -> Result<(), ProblemError> {
    let bound = scale * query.ncols() as f64 * largest(query) * largest(key) + largest_bias;
    if bound <= LIMIT {
        return Ok(());
    }
    for (i, query) in query.rows().into_iter().enumerate() {
        for (j, key) in key.rows().into_iter().enumerate() {
            check_pair((i, j), logit_magnitude(query, key, scale, bias(i, j)))?;
        }
    }
    Ok(())
}

/// Refuses a pair whose softmax input may reach a `magnitude` beyond [`LIMIT`].
pub(crate) fn check_pair((query, token): (usize, usize), magnitude: f64) -> Result<(), ProblemError> {
    if magnitude <= LIMIT {
        return Ok(());
    }
    Err(ProblemError::Logit {
        query,
        token,
        magnitude,
        limit: LIMIT,
    })
}

/// `|s| sum_c |q_c k_c| + |b|`, which bounds the softmax input and every partial sum of it.
pub(crate) fn logit_magnitude(query: ArrayView1<f64>, key: ArrayView1<f64>, scale: f64, bias: f64) -> f64 {
    let products: f64 = query.iter().zip(key).map(|(q, k)| (q * k).abs()).sum();
    scale * products + bias.abs()
}

fn largest(tensor: &Array2<f64>) -> f64 {
    tensor.iter().fold(0.0, |largest, element| element.abs().max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_limit_itself_is_allowed() {
        assert_eq!(check_value(0, array![LIMIT, -LIMIT].view()), Ok(()));
        assert_eq!(check_sink(-LIMIT), Ok(()));
        assert_eq!(check_pair((0, 0), LIMIT), Ok(()));
        for sink in [1.1 * LIMIT, f64::NEG_INFINITY, f64::NAN] {
            assert!(check_sink(sink).is_err(), "{sink}");
        }
    }

    #[test]
    fn a_bound_that_overflows_is_settled_pair_by_pair() {
        // The largest query meets the largest key nowhere but in a channel where one of them is 0.
        let (query, key) = (array![[1e200, 0.0]], array![[0.0, 1e200]]);
        assert_eq!(check_logits(&query, &key, 1.0, 0.0, |_, _| 0.0), Ok(()));
    }

    #[test]
    fn every_factor_of_the_logit_counts() {
        // 1e60 · 8 · 1e5 · 5e4 = 4e70; without one of the factors it is below the limit.
        let (query, key) = (Array2::from_elem((1, 8), 1e5), Array2::from_elem((1, 8), 5e4));
        assert!(check_logits(&query, &key, 1e60, 0.0, |_, _| 0.0).is_err());
        assert_eq!(check_logits(&query, &key, 1e59, 0.0, |_, _| 0.0), Ok(()));
    }

    #[test]
    fn signs_do_not_hide_a_sum_that_overflows_on_its_way() {
        // 1e200 - 1e200 is 0, but each product is beyond the limit.
        let (query, key) = (array![[1e100, 1e100]], array![[0.0, 0.0], [1e100, -1e100]]);
        assert_eq!(
            check_logits(&query, &key, 1.0, 0.0, |_, _| 0.0),
            Err(ProblemError::Logit {
                query: 0,
                token: 1,
                magnitude: 2e200,
                limit: LIMIT
            })
        );
    }
}
