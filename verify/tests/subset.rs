//! Sets: what selections promise (C36), how errors add up (C37), and when a ranking would do (C38).

use ndarray::{Array1, Array2, ArrayView1, array};
use obcache_scores::subset::{addition, beam, exchange, exhaustive, halving};
use obcache_scores::{Protection, Score, accumulate, evicted, greedy};
use obd_core::{AttentionTrace, Head, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::strategies::{config, matrix, moderate_head, plain_head};
use verify::tolerance::{largest_value, squared_change};

const ALL: QueryWindow = QueryWindow::All;

/// The exact error of keeping `kept`, by brute force.
fn error(head: &Head, kept: &[usize]) -> f64 {
    oracle::error(&oracle::set_removal(head, &evicted(head.kv_len(), kept)), ALL)
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

/// One query's errors of a set.
struct Row {
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
fn rows(head: &Head, part: f64) -> Vec<Row> {
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
        Row {
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

/// What a quick error may be off beside the exact one: ten digits of the squared values (pool.rs), for every query.
fn quick(head: &Head) -> f64 {
    1e-10 * (2.0 * largest_value(head)).powi(2) * head.query_len() as f64 + squared_change(head, 1.0)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn c36_greedy_removal_and_addition_take_the_token_of_least_error(head in moderate_head()) {
        let trace = attend(&head);
        let tokens = head.kv_len();
        let removed = greedy::order(&head, &trace, ALL);
        let added = addition::order(&head, &trace, ALL, tokens);
        for step in 0..tokens {
            let gone = |token: usize| [&removed[..step], &[token]].concat();
            assert_least(&head, removed[step], &removed[step..], |token| evicted(tokens, &gone(token)))?;
            assert_least(&head, added[step], &added[step..], |token| [&added[..step], &[token]].concat())?;
        }
    }

    #[test]
    fn c36_halving_is_greedy_removal_where_all_that_is_left_are_candidates(head in moderate_head(), part in 0.0..0.66f64) {
        let trace = attend(&head);
        let budget = (part * head.kv_len() as f64) as usize;
        let order = greedy::order(&head, &trace, ALL);
        let kept = halving::keep(&head, &trace, ALL, budget, Protection::default());
        // Near-ties may be broken either way at every step: what is left is a greedy set of its own.
        if kept != sorted(&order[head.kv_len() - budget..]) {
            prop_assert!(tied(&head, &trace, budget), "{kept:?} {order:?}");
        }
    }

    #[test]
    fn c36_exchange_never_leaves_more_error_than_it_was_given(
        query in matrix(3, 2), key in matrix(64, 2), value in matrix(64, 2), budget in 0..=64usize
    ) {
        // From 40 kept tokens on two and more are swapped at once, which may do harm and must then be undone.
        let head = Head::new(query, key, value).unwrap().with_visibility(Visibility::all(3, 64)).unwrap();
        let trace = attend(&head);
        let start: Vec<usize> = (0..budget).collect();
        let kept = exchange::improve(&head, &trace, ALL, start.clone(), Protection::default(), 20);
        prop_assert_eq!(kept.len(), budget);
        prop_assert!(error(&head, &kept) <= error(&head, &start) + 2.0 * quick(&head));
    }

    #[test]
    fn c36_no_selection_beats_the_exhaustive_optimum(head in moderate_head(), part in 0.0..1.0f64) {
        let trace = attend(&head);
        let budget = (part * head.kv_len() as f64) as usize;
        let best = exhaustive::keep(&head, &trace, ALL, budget).unwrap();
        prop_assert_eq!(best.len(), budget);
        for kept in [
            halving::keep(&head, &trace, ALL, budget, Protection::default()),
            exchange::halving_and_exchange(&head, &trace, ALL, budget, Protection::default()),
            beam::keep(&head, &trace, ALL, &[budget], 3).swap_remove(0),
        ] {
            prop_assert_eq!(kept.len(), budget);
            prop_assert!(error(&head, &best) <= error(&head, &kept) + 2.0 * squared_change(&head, 1.0));
        }
    }

    #[test]
    fn c37_a_set_errs_by_its_first_order_error_times_what_renormalising_adds(head in moderate_head(), part in 0.0..1.0f64) {
        for row in rows(&head, part) {
            let slack = row.slack * (1 + row.size) as f64;
            prop_assert!(row.first_order <= row.exact + slack);
            prop_assert!(row.exact <= (row.first_order + slack) / (1.0 - row.lost).powi(2) + slack);
        }
    }

    #[test]
    fn c37_a_set_errs_by_at_most_its_size_times_its_tokens_errors_and_renormalising(head in moderate_head(), part in 0.0..1.0f64) {
        for row in rows(&head, part) {
            let slack = row.slack * (1 + row.size) as f64;
            prop_assert!(row.exact <= row.size as f64 * (row.alone + slack) / (1.0 - row.lost).powi(2) + slack);
        }
    }

    #[test]
    fn c38_what_a_query_sees_without_a_sink_never_lies_in_a_cone(head in plain_head()) {
        let trace = attend(&head);
        for i in 0..head.query_len() {
            let gaps: Vec<Array1<f64>> = (0..head.kv_len())
                .filter(|&j| head.visibility().visible(i, j))
                .map(|j| &head.value().row(j) - &trace.output.row(i))
                .collect();
            let longest = gaps.iter().map(|gap| gap.dot(gap)).fold(0.0, f64::max);
            let least = gaps.iter().flat_map(|a| gaps.iter().map(move |b| a.dot(b))).fold(f64::INFINITY, f64::min);
            // Weighted by the weights the gaps sum to 0: one of them opposes the longest. Equal values leave only rounding.
            prop_assert!(least < 0.0 || longest <= squared_change(&head, 1.0));
        }
    }

    #[test]
    fn c38_in_a_cone_a_ranking_is_within_a_constant_factor_of_the_best_set(
        query in matrix(1, 2), key in matrix(6, 2), value in matrix(6, 3), sink in 0.0..6.0f64, count in 1..5usize
    ) {
        // The sink draws the output towards 0, and values around (3, 3, 3) lie to one side of it.
        let head = Head::new(query, key, value + 3.0).unwrap().with_sink(sink).unwrap();
        let trace = attend(&head);
        let alone = accumulate(&Score::Removal.contributions(&head, &trace), ALL);
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
    }
}

/// That `taken` leaves no more error, by brute force, than any of `candidates`, `kept` naming what each would leave.
fn assert_least(
    head: &Head,
    taken: usize,
    candidates: &[usize],
    kept: impl Fn(usize) -> Vec<usize>,
) -> Result<(), TestCaseError> {
    let errors: Vec<f64> = candidates.iter().map(|&token| error(head, &kept(token))).collect();
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let own = error(head, &kept(taken));
    prop_assert!(
        own <= least + 2.0 * quick(head),
        "{taken} leaves {own}, another {least}"
    );
    Ok(())
}

fn sorted(tokens: &[usize]) -> Vec<usize> {
    let mut tokens = tokens.to_vec();
    tokens.sort_unstable();
    tokens
}

/// Whether greedy removal down to `budget` meets two candidates whose errors cannot be told apart.
fn tied(head: &Head, trace: &AttentionTrace, budget: usize) -> bool {
    let order = greedy::order(head, trace, ALL);
    (0..head.kv_len() - budget).any(|step| {
        let gone = &order[..step];
        let candidates = evicted(head.kv_len(), gone);
        let mut errors: Vec<f64> = candidates
            .iter()
            .map(|&token| oracle::error(&oracle::set_removal(head, &[gone, &[token]].concat()), ALL))
            .collect();
        errors.sort_by(f64::total_cmp);
        errors.len() > 1 && errors[1] - errors[0] <= 2.0 * quick(head)
    })
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
