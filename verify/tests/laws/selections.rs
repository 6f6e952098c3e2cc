//! What selections of a set promise (C36).

use obcache_scores::select::sets::{addition, beam, exchange, exhaustive, greedy, halving};
use obcache_scores::select::{Protection, evicted};
use obd_core::{AttentionTrace, Head, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::{Law, for_all};
use verify::strategies::{matrix, moderate_head};
use verify::tolerance::{largest_value, squared_change};

const ALL: QueryWindow = QueryWindow::All;

/// The exact error of keeping `kept`, by brute force.
fn error(head: &Head, kept: &[usize]) -> f64 {
    oracle::error(&oracle::set_removal(head, &evicted(head.kv_len(), kept)), ALL)
}

/// What a quick error may be off beside the exact one: ten digits of the squared values (pool.rs), for every query.
fn quick(head: &Head) -> f64 {
    1e-10 * (2.0 * largest_value(head)).powi(2) * head.query_len() as f64 + squared_change(head, 1.0)
}

#[test]
fn c36_greedy_removal_and_addition_take_the_token_of_least_error() {
    for_all(moderate_head(), |head| {
        let trace = attend(&head);
        let tokens = head.kv_len();
        let removed = greedy::order(&head, &trace, ALL);
        let added = addition::order(&head, &trace, ALL, tokens);
        for step in 0..tokens {
            let gone = |token: usize| [&removed[..step], &[token]].concat();
            assert_least(&head, removed[step], &removed[step..], |token| {
                evicted(tokens, &gone(token))
            })?;
            assert_least(&head, added[step], &added[step..], |token| {
                [&added[..step], &[token]].concat()
            })?;
        }
        Ok(())
    });
}

/// That `taken` leaves no more error, by brute force, than any of `candidates`, `kept` naming what each would leave.
fn assert_least(head: &Head, taken: usize, candidates: &[usize], kept: impl Fn(usize) -> Vec<usize>) -> Law {
    let errors: Vec<f64> = candidates.iter().map(|&token| error(head, &kept(token))).collect();
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let own = error(head, &kept(taken));
    prop_assert!(
        own <= least + 2.0 * quick(head),
        "{taken} leaves {own}, another {least}"
    );
    Ok(())
}

#[test]
fn c36_halving_is_greedy_removal_where_all_that_is_left_are_candidates() {
    for_all((moderate_head(), 0.0..0.66f64), |(head, part)| {
        let trace = attend(&head);
        let budget = (part * head.kv_len() as f64) as usize;
        let order = greedy::order(&head, &trace, ALL);
        let kept = halving::keep(&head, &trace, ALL, budget, Protection::default());
        // Near-ties may be broken either way at every step: what is left is a greedy set of its own.
        if kept != sorted(&order[head.kv_len() - budget..]) {
            prop_assert!(tied(&head, &trace, budget), "{kept:?} {order:?}");
        }
        Ok(())
    });
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

#[test]
fn c36_exchange_never_leaves_more_error_than_it_was_given() {
    let inputs = (matrix(3, 2), matrix(64, 2), matrix(64, 2), 0..=64usize);
    for_all(inputs, |(query, key, value, budget)| {
        // From 40 kept tokens on two and more are swapped at once, which may do harm and must then be undone.
        let head = Head::new(query, key, value)
            .unwrap()
            .with_visibility(Visibility::all(3, 64))
            .unwrap();
        let trace = attend(&head);
        let start: Vec<usize> = (0..budget).collect();
        let kept = exchange::improve(&head, &trace, ALL, start.clone(), Protection::default(), 20);
        prop_assert_eq!(kept.len(), budget);
        prop_assert!(error(&head, &kept) <= error(&head, &start) + 2.0 * quick(&head));
        Ok(())
    });
}

#[test]
fn c36_no_selection_beats_the_exhaustive_optimum() {
    for_all((moderate_head(), 0.0..1.0f64), |(head, part)| {
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
        Ok(())
    });
}
