//! Votes of attention (C26), and those within a chunk that is not causal (C32).

use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use obcache_scores::accumulate;
use obcache_scores::field::{
    max_weight, non_causal_attention, non_causal_attention_of_kvpress, observed_attention, snapkv, tova,
};
use obd_core::{GroupReduction, Head, Pooling, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::attend;
use verify::law::for_cases;
use verify::tolerance;

use super::{alone, close, largest, square};
use crate::heads::causal;

#[test]
fn c26_observed_attention_spends_each_query_once() {
    for_cases(48, square(), |head| {
        // Times the queries that see it, summed over the tokens: one per query.
        let saliency = observed_attention(&alone(&head));
        let seen = (0..head.kv_len()).map(|token| (head.kv_len() - token) as f64);
        let spent: f64 = saliency.iter().zip(seen).map(|(saliency, seen)| saliency * seen).sum();
        prop_assert!(close(spent, head.query_len() as f64, head.query_len() as f64, 256));
        Ok(())
    });
}

#[test]
fn c26_a_vote_of_one_query_without_pooling_is_tova() {
    for_cases(48, square(), |head| {
        let group = alone(&head);
        let vote = snapkv(&group, 1, Pooling::Average { radius: 0 });
        prop_assert_eq!(vote, tova(&[group]));
        Ok(())
    });
}

#[test]
fn c26_the_largest_weight_is_blind_to_a_query_asked_twice() {
    for_cases(48, square(), |head| {
        let again = concatenate![Axis(0), *head.query(), head.query().slice(s![8.., ..])];
        let both = Visibility::from_mask(Array2::from_shape_fn((10, 9), |(i, j)| j <= i.min(8)));
        let twice = Head::new(again, head.key().clone(), head.value().clone()).unwrap();
        let twice = twice.with_visibility(both).unwrap();
        let all = QueryWindow::All;
        prop_assert_eq!(max_weight(&alone(&twice), all), max_weight(&alone(&head), all));
        let summed = |head: &Head| accumulate(&attend(head).weights, all).sum();
        prop_assert!(summed(&twice) > summed(&head) + 0.5);
        Ok(())
    });
}

#[test]
fn c26_a_maximum_over_neighbours_does_not_commute_with_the_group_mean() {
    // Weights (1, 0) and (0, 1) of two heads: pooled by maximum each is (1, 1), the mean (1, 1); mean first is 1/2.
    let mean = |rows: [Array1<f64>; 2]| GroupReduction::Mean.reduce(&rows).unwrap();
    let (one, other) = (array![1.0, 0.0], array![0.0, 1.0]);
    let max = Pooling::Max { radius: 1 };
    let average = Pooling::Average { radius: 1 };
    assert_eq!(mean([max.apply(&one), max.apply(&other)]), array![1.0, 1.0]);
    assert_eq!(max.apply(&mean([one.clone(), other.clone()])), array![0.5, 0.5]);
    assert_eq!(
        mean([average.apply(&one), average.apply(&other)]),
        average.apply(&mean([one, other]))
    );
}

#[test]
fn c32_non_causal_votes_are_those_of_attention_within_the_chunk() {
    for_cases(48, (square(), 1..11_usize), |(head, chunk)| {
        // The reference attends under a block mask; kvpress's padding gives other votes unless the chunk divides the length.
        let block = Array2::from_shape_fn((9, 9), |(i, j)| i / chunk == j / chunk);
        let masked = causal(head.query(), head.key(), head.value())
            .with_visibility(Visibility::from_mask(block))
            .unwrap();
        let votes = attend(&masked).weights.sum_axis(Axis(0));
        let norms = head.value().map_axis(Axis(1), |row| row.dot(&row).sqrt());
        let expected = Pooling::Average { radius: 1 }.apply(&(votes * norms));
        let saliency = non_causal_attention(&alone(&head), chunk).unwrap();
        let size = 9.0 * largest(&expected);
        for (saliency, expected) in saliency.iter().zip(&expected) {
            prop_assert!((saliency - expected).abs() <= size * (tolerance::weight(&masked) + tolerance::gamma(64)));
        }
        let unscaled = masked.with_scale(1.0).unwrap();
        let right = non_causal_attention(&alone(&unscaled), chunk).unwrap();
        let leaks = non_causal_attention_of_kvpress(&alone(&unscaled), chunk).unwrap();
        let gap = largest(&(&right - &leaks));
        let whole = 9 % chunk == 0;
        prop_assert_eq!(whole, gap <= 1e-9 * largest(&right), "chunk {}: {}", chunk, gap);
        Ok(())
    });
}
