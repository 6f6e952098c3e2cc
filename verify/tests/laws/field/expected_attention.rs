//! ExpectedAttention is exact for Gaussian queries at one position (C27).

use ndarray::{Array1, Array2, Axis, s};
use obcache_scores::field::{ExpectedAttention, Rope};
use obd_core::Head;
use proptest::prelude::*;
use reference_attention::attend;
use verify::law::for_cases;
use verify::strategies::matrix;

use super::{alone, close};
use crate::heads::causal;

#[test]
fn c27_equal_queries_are_expected_to_attend_as_one_does() {
    let inputs = (matrix(1, 4), matrix(7, 4), matrix(7, 3));
    for_cases(48, inputs, |(query, key, value)| {
        // All queries equal before rotation, one position to come: the weights of that query there over the tokens after the sinks.
        let rope = Rope::new(1e4, 4).unwrap();
        let turned = |position: usize| rope.mean(position..position + 1).dot(&query.row(0));
        let queries = Array2::from_shape_fn((7, 4), |(i, c)| turned(i)[c]);
        let group = alone(&causal(&queries, &key, &value)).with_rope(rope.clone()).unwrap();
        let expected = ExpectedAttention {
            sinks: 2,
            future_positions: 1,
            covariance: true,
            value_norm: None,
        };
        let saliency = expected.saliency(&group).unwrap();
        let next = Head::new(
            turned(7).insert_axis(Axis(0)),
            key.slice(s![2.., ..]).to_owned(),
            value.slice(s![2.., ..]).to_owned(),
        )
        .unwrap();
        let weights = attend(&next).weights;
        // Rotating back and forth, and a covariance of what is left of rounding.
        for token in 0..5 {
            prop_assert!(close(saliency[token + 2], weights[[0, token]], 1.0, 2000));
        }
        Ok(())
    });
}

#[test]
fn c27_the_expected_exponential_is_that_of_gaussian_queries() {
    let inputs = (matrix(1, 4), matrix(1, 4), matrix(2, 4));
    for_cases(48, inputs, |(mean, spread, key)| {
        // Queries mean ± spread have covariance spread spreadᵀ. The Gaussian of that mean and covariance, integrated numerically.
        let rope = Rope::new(1e4, 4).unwrap();
        let turn = |position: usize, row: Array1<f64>| rope.mean(position..position + 1).dot(&row);
        let (mean, spread) = (mean.row(0).to_owned(), spread.row(0).to_owned());
        let queries = Array2::from_shape_fn((2, 4), |(i, c)| {
            turn(i, if i == 0 { &mean + &spread } else { &mean - &spread })[c]
        });
        let group = alone(&causal(&queries, &key, &Array2::ones((2, 1))))
            .with_rope(rope.clone())
            .unwrap();
        let expected = ExpectedAttention {
            sinks: 0,
            future_positions: 1,
            covariance: true,
            value_norm: None,
        };
        let saliency = expected.saliency(&group).unwrap();
        let exponential = |key: ndarray::ArrayView1<f64>| -> f64 {
            let (centre, slope) = (
                turn(2, mean.clone()).dot(&key) / 2.0,
                turn(2, spread.clone()).dot(&key) / 2.0,
            );
            // The trapezoid rule in steps of 1/16 over a smooth integrand of width 1 is exact to rounding; |slope| <= 8.
            (-512..=512)
                .map(|k| k as f64 / 16.0)
                .map(|t| (centre + slope * t - t * t / 2.0).exp() / 16.0)
                .sum()
        };
        let (first, second) = (exponential(key.row(0)), exponential(key.row(1)));
        prop_assert!(close(saliency[0], first / (first + second), 1.0, 20_000));
        Ok(())
    });
}
