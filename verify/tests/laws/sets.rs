//! What the removal of a set costs: its closed form (C13), how errors add up (C37), when a ranking would do (C38).

use ndarray::{Array1, Array2, ArrayView1, array};
use obcache_scores::Score;
use obcache_scores::exact::set;
use obcache_scores::select::evicted;
use obcache_scores::select::sets::exhaustive;
use obd_core::{AttentionTrace, Head, QueryWindow};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::strategies::{head, matrix, moderate_head, plain_head};
use verify::tolerance::{change, squared_change};

use crate::heads::{farthest, sums, thirds, tokens};

const ALL: QueryWindow = QueryWindow::All;

#[test]
fn c13_set_removal_agrees_with_brute_force() {
    for_all((head(), any::<u16>()), |(head, members)| {
        let tokens = tokens(&head, members);
        let gap = farthest(
            &set::perturbation(&head, &attend(&head), &tokens),
            &oracle::set_removal(&head, &tokens),
        );
        prop_assert!(gap <= change(&head), "{gap:e}");
        Ok(())
    });
}

#[test]
fn c13_a_set_of_all_tokens_takes_the_whole_output() {
    for_all(head(), |head| {
        let trace = attend(&head);
        let all: Vec<usize> = (0..head.kv_len()).collect();
        prop_assert!(farthest(&set::perturbation(&head, &trace, &all), &-&trace.output) <= change(&head));
        Ok(())
    });
}

#[test]
fn c13_errors_of_a_set_do_not_add_up() {
    // Equal weights 1/3, values 3, 0 and -3, output 0. Alone: 3 costs (1/2 · 3)² = 2.25, -3 the same. Together: nothing.
    let head = thirds();
    let trace = attend(&head);
    let error = |tokens: &[usize]| set::removal_error(&head, &trace, tokens, ALL);
    assert!((error(&[0]) - 2.25).abs() < squared_change(&head, 1.0));
    assert!(error(&[0, 2]) < squared_change(&head, 1.0));
}

/// What a set costs one query.
struct QueryErrors {
    size: usize,
    /// Of the set, by brute force.
    exact: f64,
    /// Sum of those of its tokens, by brute force.
    alone: f64,
    /// `‖sum_S a (v - o)‖²`.
    first_order: f64,
    /// Weight that goes.
    lost: f64,
    /// What a squared change may be off.
    slack: f64,
}

/// The first `part` of the tokens as a set, for every query to which it leaves a hundredth of its weight.
fn rows(head: &Head, part: f64) -> Vec<QueryErrors> {
    let trace = attend(head);
    let set: Vec<usize> = (0..(part * head.kv_len() as f64) as usize).collect();
    let exact = oracle::set_removal(head, &set);
    let alone: Vec<_> = set.iter().map(|&token| oracle::removal(head, token)).collect();
    let square = |change: ArrayView1<f64>| change.dot(&change);
    let row = |i: usize| {
        let mut moved = Array1::zeros(head.value_dim());
        for &j in &set {
            moved.scaled_add(trace.weights[[i, j]], &(&head.value().row(j) - &trace.output.row(i)));
        }
        QueryErrors {
            size: set.len(),
            exact: square(exact.row(i)),
            alone: alone.iter().map(|change| square(change.row(i))).sum(),
            first_order: square(moved.view()),
            lost: set.iter().map(|&j| trace.weights[[i, j]]).sum(),
            slack: squared_change(head, 1.0),
        }
    };
    (0..head.query_len()).map(row).filter(|row| row.lost < 0.99).collect()
}

#[test]
fn c37_a_set_errs_by_its_first_order_error_times_what_renormalising_adds() {
    for_all((moderate_head(), 0.0..1.0f64), |(head, part)| {
        for row in rows(&head, part) {
            let slack = row.slack * (1 + row.size) as f64;
            prop_assert!(row.first_order <= row.exact + slack);
            prop_assert!(row.exact <= (row.first_order + slack) / (1.0 - row.lost).powi(2) + slack);
        }
        Ok(())
    });
}

#[test]
fn c37_a_set_errs_by_at_most_its_size_times_its_tokens_errors_and_renormalising() {
    for_all((moderate_head(), 0.0..1.0f64), |(head, part)| {
        for row in rows(&head, part) {
            let slack = row.slack * (1 + row.size) as f64;
            prop_assert!(row.exact <= row.size as f64 * (row.alone + slack) / (1.0 - row.lost).powi(2) + slack);
        }
        Ok(())
    });
}

#[test]
fn c37_both_ends_are_reached() {
    // Many equal tokens beside one that holds nearly all weight: k of them cost nearly k times their sum. Opposite ones: 0.
    let keys = Array2::from_shape_fn((11, 1), |(j, _)| if j == 10 { 20.0 } else { 0.0 });
    let values = Array2::from_shape_fn((11, 1), |(j, _)| if j == 10 { 0.0 } else { 1.0 });
    let head = Head::new(array![[1.0]], keys.clone(), values).unwrap();
    let ten: Vec<usize> = (0..10).collect();
    let ratio = |head: &Head, set: &[usize]| {
        let alone: f64 = set
            .iter()
            .map(|&token| oracle::error(&oracle::removal(head, token), ALL))
            .sum();
        oracle::error(&oracle::set_removal(head, set), ALL) / alone
    };
    // Weights of 2e-9 each: (1 - m)² and the output differ from 1 and 0 by 1e-7 at most.
    assert!((ratio(&head, &ten) / 10.0 - 1.0).abs() < 1e-6);
    let opposite = Array2::from_shape_fn((11, 1), |(j, _)| [1.0, -1.0][j % 2] * f64::from(u8::from(j < 10)));
    let head = Head::new(array![[1.0]], keys, opposite).unwrap();
    assert!(ratio(&head, &ten) < 1e-12);
}

#[test]
fn c38_what_a_query_sees_without_a_sink_never_lies_in_a_cone() {
    for_all(plain_head(), |head| {
        let trace = attend(&head);
        for i in 0..head.query_len() {
            let gaps: Vec<Array1<f64>> = (0..head.kv_len())
                .filter(|&j| head.visibility().visible(i, j))
                .map(|j| &head.value().row(j) - &trace.output.row(i))
                .collect();
            let longest = gaps.iter().map(|gap| gap.dot(gap)).fold(0.0, f64::max);
            let least = gaps
                .iter()
                .flat_map(|a| gaps.iter().map(move |b| a.dot(b)))
                .fold(f64::INFINITY, f64::min);
            // Weighted by the weights the gaps sum to 0: one of them opposes the longest. Equal values leave only rounding.
            prop_assert!(least < 0.0 || longest <= squared_change(&head, 1.0));
        }
        Ok(())
    });
}

#[test]
fn c38_in_a_cone_a_ranking_is_within_a_constant_factor_of_the_best_set() {
    let inputs = (matrix(1, 2), matrix(6, 2), matrix(6, 3), 0.0..6.0f64, 1..5usize);
    for_all(inputs, |(query, key, value, sink, count)| {
        // The sink draws the output towards 0, and values around (3, 3, 3) lie to one side of it.
        let head = Head::new(query, key, value + 3.0).unwrap().with_sink(sink).unwrap();
        let trace = attend(&head);
        let alone = sums(Score::Removal, &head);
        let mut ranked: Vec<usize> = (0..6).collect();
        ranked.sort_by(|&a, &b| alone[a].total_cmp(&alone[b]));
        let chosen = &ranked[..count];
        let best = evicted(6, &exhaustive::keep(&head, &trace, ALL, 6 - count).unwrap());
        let cosine = least_cosine(&head, &trace, &best);
        prop_assume!(cosine > 0.01);
        let factor = 1.0 / (cosine * (1.0 - lost(&trace, chosen)).powi(2));
        let error = |set: &[usize]| oracle::error(&oracle::set_removal(&head, set), ALL);
        let slack = squared_change(&head, 1.0);
        prop_assert!(error(chosen) <= factor * (error(&best) + slack) + slack);
        Ok(())
    });
}

/// Largest weight that a query loses with `set`.
fn lost(trace: &AttentionTrace, set: &[usize]) -> f64 {
    let masses = trace
        .weights
        .rows()
        .into_iter()
        .map(|row| set.iter().map(|&j| row[j]).sum::<f64>());
    masses.fold(0.0, f64::max)
}

fn least_cosine(head: &Head, trace: &AttentionTrace, set: &[usize]) -> f64 {
    let gap = |j: usize| &head.value().row(j) - &trace.output.row(0);
    let cosine = |a: usize, b: usize| {
        let (a, b) = (gap(a), gap(b));
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    set.iter()
        .flat_map(|&a| set.iter().map(move |&b| cosine(a, b)))
        .fold(1.0, f64::min)
}
