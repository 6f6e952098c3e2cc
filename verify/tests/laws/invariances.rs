//! Every score is finite and not negative, follows a permutation of the tokens and scales with the values (C19).

use ndarray::{Array2, Axis};
use obcache_scores::Score;
use obd_core::{Head, Visibility};
use proptest::prelude::*;
use verify::law::for_all;
use verify::strategies;

use crate::heads::{slack, sums};

#[test]
fn c19_scores_are_finite_and_never_negative() {
    for_all(strategies::head(), |head| {
        for score in Score::ALL {
            for saliency in sums(score, &head) {
                prop_assert!(saliency.is_finite() && saliency >= 0.0, "{score} {saliency}");
            }
        }
        Ok(())
    });
}

#[test]
fn c19_scores_follow_a_permutation_of_the_tokens() {
    for_all(strategies::plain_head(), |head| {
        let backwards: Vec<usize> = (0..head.kv_len()).rev().collect();
        let mask = Array2::from_shape_fn((head.query_len(), head.kv_len()), |(i, j)| {
            head.visibility().visible(i, j)
        });
        let (key, value) = (
            head.key().select(Axis(0), &backwards),
            head.value().select(Axis(0), &backwards),
        );
        let other = Head::new(head.query().clone(), key, value).unwrap();
        let other = other
            .with_visibility(Visibility::from_mask(mask.select(Axis(1), &backwards)))
            .unwrap();
        for score in Score::ALL {
            for (saliency, reversed) in sums(score, &head).iter().zip(sums(score, &other).iter().rev()) {
                prop_assert!((saliency - reversed).abs() <= slack(&head), "{score}");
            }
        }
        Ok(())
    });
}

#[test]
fn c19_a_factor_on_the_values_is_squared() {
    for_all((strategies::plain_head(), -3..4), |(head, power)| {
        // A power of two rounds nothing, so equality is exact.
        let factor = 2f64.powi(power);
        let other = Head::new(head.query().clone(), head.key().clone(), head.value() * factor).unwrap();
        let other = other.with_visibility(head.visibility().clone()).unwrap();
        for score in Score::ALL {
            let expected = match score {
                Score::Weight => 1.0,
                Score::ValueOneNorm => factor,
                _ => factor * factor,
            };
            prop_assert_eq!(sums(score, &other), sums(score, &head) * expected);
        }
        Ok(())
    });
}
