//! Gauge: what a constant added to all keys or all values moves, and what it leaves (C14, C15).

use ndarray::{Array1, Array2, array};
use obcache_scores::Score;
use obd_core::{Head, Perturbation, QueryWindow};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{halves, sums, three_quarters};

/// The head with one row added to all keys and one to all values.
fn shifted(head: &Head, key: &Array2<f64>, value: &Array2<f64>) -> Head {
    Head::new(head.query().clone(), head.key() + key, head.value() + value)
        .unwrap()
        .with_visibility(head.visibility().clone())
        .unwrap()
}

/// A head and the same head with one vector added to all its keys.
fn with_shifted_keys() -> impl Strategy<Value = (Head, Head)> {
    strategies::plain_head().prop_flat_map(|head| {
        strategies::matrix(1, head.head_dim()).prop_map(move |by| (head.clone(), shifted(&head, &by, &array![[0.0]])))
    })
}

/// A head and the same head with one vector added to all its values.
fn with_shifted_values() -> impl Strategy<Value = (Head, Head)> {
    strategies::plain_head().prop_flat_map(|head| {
        strategies::matrix(1, head.value_dim()).prop_map(move |by| (head.clone(), shifted(&head, &array![[0.0]], &by)))
    })
}

/// Two heads are computed, so their tolerances add; z and log a are at most the largest input and ln of it apart.
fn slack(one: &Head, two: &Head) -> f64 {
    let stretch = |head: &Head| 10.0 + 2.0 * tolerance::largest_input(head);
    tolerance::squared_change(one, stretch(one)) + tolerance::squared_change(two, stretch(two))
}

fn near(left: &Array1<f64>, right: &Array1<f64>, slack: f64) -> bool {
    left.iter()
        .zip(right)
        .all(|(left, right)| (left - right).abs() <= slack)
}

#[test]
fn c14_a_shift_of_all_keys_moves_neither_eviction_nor_value_score() {
    for_all(with_shifted_keys(), |(head, other)| {
        let truth = |head: &Head| oracle::token_errors(head, Perturbation::Removal, QueryWindow::All);
        prop_assert!(near(&truth(&head), &truth(&other), slack(&head, &other)));
        for score in [Score::Value, Score::ValueOneNorm, Score::Weight, Score::Removal] {
            // Weight and one-norm are no squares: their own size is at most query_len · value_dim · (1 + max|v|).
            let size = (head.query_len() * head.value_dim()) as f64 * (1.0 + tolerance::largest_value(&head));
            let extra = 2.0 * size * (tolerance::weight(&head) + tolerance::weight(&other));
            prop_assert!(
                near(&sums(score, &head), &sums(score, &other), slack(&head, &other) + extra),
                "{score}"
            );
        }
        Ok(())
    });
}

#[test]
fn c14_a_shift_of_all_keys_leaves_weights_and_output() {
    for_all(with_shifted_keys(), |(head, other)| {
        let (before, after) = (attend(&head), attend(&other));
        for (before, after) in before.weights.iter().zip(&after.weights) {
            prop_assert!((before - after).abs() <= tolerance::weight(&head) + tolerance::weight(&other));
        }
        for (before, after) in before.output.iter().zip(&after.output) {
            prop_assert!((before - after).abs() <= tolerance::change(&head) + tolerance::change(&other));
        }
        Ok(())
    });
}

#[test]
fn c14_a_shift_of_all_values_leaves_values_less_output() {
    for_all(with_shifted_values(), |(head, other)| {
        let (before, after) = (attend(&head).output, attend(&other).output);
        for ((i, j), _) in attend(&head)
            .weights
            .indexed_iter()
            .filter(|(_, weight)| **weight > 0.0)
        {
            for c in 0..head.value_dim() {
                let gap = (head.value()[[j, c]] - before[[i, c]]) - (other.value()[[j, c]] - after[[i, c]]);
                prop_assert!(gap.abs() <= tolerance::change(&head) + tolerance::change(&other));
            }
        }
        Ok(())
    });
}

#[test]
fn c14_a_shift_of_all_values_moves_neither_key_score_nor_eviction() {
    for_all(with_shifted_values(), |(head, other)| {
        // A query left with nothing loses its output, which does move: only queries that see two tokens or none count.
        let sole = |i: usize| (0..head.kv_len()).filter(|&j| head.visibility().visible(i, j)).count() == 1;
        prop_assume!(!(0..head.query_len()).any(sole));
        let truth = |head: &Head| oracle::token_errors(head, Perturbation::Removal, QueryWindow::All);
        prop_assert!(near(&truth(&head), &truth(&other), slack(&head, &other)));
        for score in [Score::Key, Score::Removal] {
            prop_assert!(
                near(&sums(score, &head), &sums(score, &other), slack(&head, &other)),
                "{score}"
            );
        }
        Ok(())
    });
}

#[test]
fn c15_gauge_fixed_scores_do_not_see_a_shift_of_all_keys() {
    for_all(with_shifted_keys(), |(head, other)| {
        for score in [Score::KeyLse, Score::KeyMean, Score::JointLse, Score::JointMean] {
            prop_assert!(
                near(&sums(score, &head), &sums(score, &other), slack(&head, &other)),
                "{score}"
            );
        }
        Ok(())
    });
}

#[test]
fn c14_a_shift_of_all_keys_moves_the_key_and_joint_scores() {
    // z = 0 gives S_K = 0 and S_KV = (1/2 · 2)² = 1; z = 3 gives S_K = (1/2 · 3 · 1)² = 2.25, S_KV = (1/2 (2 + 3))² = 6.25.
    let (head, other) = (halves(), shifted(&halves(), &array![[3.0]], &array![[0.0]]));
    assert_eq!((sums(Score::Key, &head)[1], sums(Score::Joint, &head)[1]), (0.0, 1.0));
    assert_eq!(
        (sums(Score::Key, &other)[1], sums(Score::Joint, &other)[1]),
        (2.25, 6.25)
    );
}

#[test]
fn c14_a_shift_of_all_values_moves_the_value_and_joint_scores() {
    // Value 2 becomes 4: S_V = S_KV = (1/2 · 2)² = 1 becomes (1/2 · 4)² = 4.
    let (head, other) = (halves(), shifted(&halves(), &array![[0.0]], &array![[2.0]]));
    assert_eq!((sums(Score::Value, &head)[1], sums(Score::Joint, &head)[1]), (1.0, 1.0));
    assert_eq!(
        (sums(Score::Value, &other)[1], sums(Score::Joint, &other)[1]),
        (4.0, 4.0)
    );
}

#[test]
fn c15_gauge_fixed_scores_by_hand() {
    // z equals its mean, so key-mean is 0 and joint-mean is S_V = 1; log a = -ln 2, so key-lse is (1/2 ln 2)².
    let head = halves();
    assert_eq!(
        (sums(Score::KeyMean, &head)[1], sums(Score::JointMean, &head)[1]),
        (0.0, 1.0)
    );
    let expected = (0.5 * 2f64.ln()).powi(2);
    assert!((sums(Score::KeyLse, &head)[1] - expected).abs() <= slack(&head, &head));
    // Weights 1/4 and 3/4, logits 0 and ln 3, values 0 and 4, output 3: the mean logit is 3/4 ln 3, so key-mean of the
    // second is (3/4 · 1/4 ln 3 · 1)² and its joint-mean (3/4 (4 + 1/4 ln 3))².
    let head = three_quarters();
    for (score, root) in [
        (Score::KeyMean, 3.0 / 16.0 * 3f64.ln()),
        (Score::JointMean, 3.0 + 3.0 / 16.0 * 3f64.ln()),
    ] {
        assert!(
            (sums(score, &head)[1] - root.powi(2)).abs() <= slack(&head, &head),
            "{score}"
        );
    }
}
