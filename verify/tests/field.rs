//! The scores of the field: what each is exact for, what moves it and what does not (C25 to C33, C43); budgets and pages (C34, C35); the
//! tracker of a group (C18).

use ndarray::{Array1, Array2, Axis, array, concatenate, s};
use ndarray_linalg::{JobSvd, SVDDC};
use obcache_scores::allocation::{ada_kv, additive_error, pyramid_kv, uniform, water_filling};
use obcache_scores::field::{
    CurKind, ExpectedAttention, KvGroup, LagKv, caote, critical_kv, cur, fast_caote, key_diff, knorm, leverage,
    max_weight, non_causal_attention, non_causal_attention_of_kvpress, observed_attention, r_kv, redundancy,
    sketched_leverage, snapkv, tova,
};
use obcache_scores::{
    Budget, GroupReduction, GroupTracker, Policy, Pooling, Protection, Rope, Schedule, Score, accumulate, select,
    select_pages, streaming_llm,
};
use obd_core::{Head, Perturbation, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::{strategies, tolerance};

/// The head as a group of its own.
fn alone(head: &Head) -> KvGroup {
    KvGroup::new(vec![(head.clone(), attend(head))]).unwrap()
}

/// Causal attention of `rows` queries, keys and values.
fn causal(query: &Array2<f64>, key: &Array2<f64>, value: &Array2<f64>) -> Head {
    let visibility = Visibility::all(query.nrows(), key.nrows()).causal();
    let head = Head::new(query.clone(), key.clone(), value.clone()).unwrap();
    head.with_visibility(visibility).unwrap()
}

fn square() -> impl Strategy<Value = Head> {
    (
        strategies::matrix(9, 4),
        strategies::matrix(9, 4),
        strategies::matrix(9, 3),
    )
        .prop_map(|(query, key, value)| causal(&query, &key, &value))
}

fn largest(numbers: &Array1<f64>) -> f64 {
    numbers.fold(0.0, |largest: f64, x| largest.max(x.abs()))
}

/// Numbers of at most `size` that `roundings` operations lie between.
fn close(x: f64, y: f64, size: f64, roundings: usize) -> bool {
    (x - y).abs() <= tolerance::gamma(roundings) * size
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..strategies::config() })]

    #[test]
    fn c25_caote_is_the_root_of_the_removal_error_of_one_query(head in square()) {
        // The last query sees every token; brute force removes each.
        let (queries, tokens) = (head.query_len(), head.kv_len());
        let last = head.query().slice(s![queries - 1.., ..]).to_owned();
        let head = Head::new(last, head.key().clone(), head.value().clone()).unwrap();
        let group = alone(&head);
        let saliency = caote(&group, &group.heads()[0].1.weights.row(0).to_owned()).unwrap();
        let error = tolerance::change(&head) * (head.value_dim() as f64).sqrt();
        for token in 0..tokens {
            let change = oracle::perturbation(&head, Perturbation::Removal, token);
            let truth = change.iter().map(|c| c * c).sum::<f64>().sqrt();
            prop_assert!((saliency[token] - truth).abs() <= error, "{} {truth}", saliency[token]);
        }
    }

    #[test]
    fn c25_fast_caote_is_caote_where_the_output_is_the_mean_value(head in square()) {
        let group = alone(&head);
        let even = Array1::ones(head.kv_len());
        let (exact, fast) = (caote(&group, &even).unwrap(), fast_caote(&group, &even).unwrap());
        for (exact, fast) in exact.iter().zip(&fast) {
            prop_assert!(close(*exact, *fast, tolerance::largest_value(&head), 64));
        }
    }

    #[test]
    fn c26_observed_attention_spends_each_query_once(head in square()) {
        // Times the queries that see it, summed over the tokens: one per query.
        let saliency = observed_attention(&alone(&head));
        let seen = (0..head.kv_len()).map(|token| (head.kv_len() - token) as f64);
        let spent: f64 = saliency.iter().zip(seen).map(|(saliency, seen)| saliency * seen).sum();
        prop_assert!(close(spent, head.query_len() as f64, head.query_len() as f64, 256));
    }

    #[test]
    fn c26_a_vote_of_one_query_without_pooling_is_tova(head in square()) {
        let group = alone(&head);
        let vote = snapkv(&group, 1, Pooling::Average { radius: 0 });
        prop_assert_eq!(vote, tova(&[group]));
    }

    #[test]
    fn c26_the_largest_weight_is_blind_to_a_query_asked_twice(head in square()) {
        let again = concatenate![Axis(0), *head.query(), head.query().slice(s![8.., ..])];
        let both = Visibility::from_mask(Array2::from_shape_fn((10, 9), |(i, j)| j <= i.min(8)));
        let twice = Head::new(again, head.key().clone(), head.value().clone()).unwrap();
        let twice = twice.with_visibility(both).unwrap();
        let all = QueryWindow::All;
        prop_assert_eq!(max_weight(&alone(&twice), all), max_weight(&alone(&head), all));
        let summed = |head: &Head| accumulate(&attend(head).weights, all).sum();
        prop_assert!(summed(&twice) > summed(&head) + 0.5);
    }

    #[test]
    fn c43_position_alone_keeps_what_any_ranking_keeps_when_all_is_protected(
        ranking in prop::collection::vec(-1e3..1e3f64, 1..40), sinks in 0..6usize, part in 0.0..1.0f64
    ) {
        let tokens = ranking.len();
        let sinks = sinks.min(tokens);
        let kept = sinks + (part * (tokens - sinks + 1) as f64) as usize;
        let alone = select(&streaming_llm(tokens, sinks), Budget::Tokens(kept), Protection::default()).unwrap();
        let expected: Vec<usize> = (0..sinks).chain(tokens + sinks - kept..tokens).collect();
        prop_assert_eq!(&alone, &expected);
        let protection = Protection { sinks, recent: kept - sinks };
        prop_assert_eq!(select(&Array1::from(ranking), Budget::Tokens(kept), protection).unwrap(), alone);
    }

    #[test]
    fn c27_equal_queries_are_expected_to_attend_as_one_does(query in strategies::matrix(1, 4), key in strategies::matrix(7, 4), value in strategies::matrix(7, 3)) {
        // All queries equal before rotation, one position to come: the weights of that query there over the tokens after the sinks.
        let rope = Rope::new(1e4, 4).unwrap();
        let turned = |position: usize| rope.mean(position..position + 1).dot(&query.row(0));
        let queries = Array2::from_shape_fn((7, 4), |(i, c)| turned(i)[c]);
        let group = alone(&causal(&queries, &key, &value)).with_rope(rope.clone()).unwrap();
        let expected = ExpectedAttention { sinks: 2, future_positions: 1, covariance: true, value_norm: None };
        let saliency = expected.saliency(&group).unwrap();
        let next = Head::new(turned(7).insert_axis(Axis(0)), key.slice(s![2.., ..]).to_owned(), value.slice(s![2.., ..]).to_owned()).unwrap();
        let weights = attend(&next).weights;
        // Rotating back and forth, and a covariance of what is left of rounding.
        for token in 0..5 {
            prop_assert!(close(saliency[token + 2], weights[[0, token]], 1.0, 2000));
        }
    }

    #[test]
    fn c27_the_expected_exponential_is_that_of_gaussian_queries(mean in strategies::matrix(1, 4), spread in strategies::matrix(1, 4), key in strategies::matrix(2, 4)) {
        // Queries mean ± spread have covariance spread spreadᵀ. The Gaussian of that mean and covariance, integrated numerically.
        let rope = Rope::new(1e4, 4).unwrap();
        let turn = |position: usize, row: Array1<f64>| rope.mean(position..position + 1).dot(&row);
        let (mean, spread) = (mean.row(0).to_owned(), spread.row(0).to_owned());
        let queries = Array2::from_shape_fn((2, 4), |(i, c)| turn(i, if i == 0 { &mean + &spread } else { &mean - &spread })[c]);
        let group = alone(&causal(&queries, &key, &Array2::ones((2, 1)))).with_rope(rope.clone()).unwrap();
        let expected = ExpectedAttention { sinks: 0, future_positions: 1, covariance: true, value_norm: None };
        let saliency = expected.saliency(&group).unwrap();
        let exponential = |key: ndarray::ArrayView1<f64>| -> f64 {
            let (centre, slope) = (turn(2, mean.clone()).dot(&key) / 2.0, turn(2, spread.clone()).dot(&key) / 2.0);
            // The trapezoid rule in steps of 1/16 over a smooth integrand of width 1 is exact to rounding; |slope| <= 8.
            (-512..=512).map(|k| k as f64 / 16.0).map(|t| (centre + slope * t - t * t / 2.0).exp() / 16.0).sum()
        };
        let (first, second) = (exponential(key.row(0)), exponential(key.row(1)));
        prop_assert!(close(saliency[0], first / (first + second), 1.0, 20_000));
    }

    #[test]
    fn c28_leverage_sums_to_the_rank_and_sees_no_change_of_basis(key in strategies::matrix(9, 4), basis in strategies::matrix(4, 4), shift in strategies::matrix(1, 4)) {
        let basis = basis + Array2::<f64>::eye(4) * 9.0;
        let (plain, moved) = (leverage(&key).unwrap(), leverage(&(key.dot(&basis) + shift.row(0))).unwrap());
        let centred = &key - &(key.sum_axis(Axis(0)) / 9.0);
        let (_, singular, _) = centred.svddc(JobSvd::None).unwrap();
        // The condition number of the keys, squared, times that of the basis (diagonally dominant: below 17 / 1).
        let condition = (singular[0] / singular[3].max(1e-300)).powi(2) * 17.0;
        prop_assume!(condition < 1e8);
        let roundings = 64 * (condition as usize + 1);
        prop_assert!(close(plain.sum(), 4.0, 4.0, roundings));
        prop_assert!(plain.iter().all(|&h| (0.0..=1.0 + tolerance::gamma(roundings)).contains(&h)));
        let sketched = sketched_leverage(&key, &basis, 0.0).unwrap();
        for ((plain, moved), sketched) in plain.iter().zip(&moved).zip(&sketched) {
            prop_assert!(close(*plain, *moved, 1.0, roundings), "{plain} {moved}");
            prop_assert!(close(*plain, *sketched, 1.0, roundings), "{plain} {sketched}");
        }
    }

    #[test]
    fn c28_squared_norms_bracket_leverage(key in strategies::matrix(9, 3)) {
        // σ_r² h <= ‖x‖² <= σ_1² h for centred rows: what CUR's stand-in is worth.
        let centred = &key - &(key.sum_axis(Axis(0)) / 9.0);
        let head = causal(&Array2::ones((9, 3)), &centred, &Array2::ones((9, 1)));
        let shares = cur(&alone(&head), CurKind::Key, None);
        let squares = centred.iter().map(|x| x * x).sum::<f64>();
        let (_, singular, _) = centred.svddc(JobSvd::None).unwrap();
        for (share, leverage) in shares.iter().zip(leverage(&key).unwrap()) {
            let (low, high) = (singular[2].powi(2) * leverage, singular[0].powi(2) * leverage);
            let slack = tolerance::gamma(2000) * squares;
            prop_assert!(low - slack <= share * squares && share * squares <= high + slack);
        }
    }

    #[test]
    fn c29_key_norms_and_directions_move_where_no_weight_does(head in square(), shift in strategies::matrix(1, 4)) {
        prop_assume!(shift.iter().any(|x| x.abs() > 0.5));
        let moved = causal(head.query(), &(head.key() + &shift.row(0)), head.value());
        let weights = (attend(&head).weights, attend(&moved).weights);
        let gap = (&weights.0 - &weights.1).fold(0.0, |gap: f64, x| gap.max(x.abs()));
        prop_assert!(gap <= 4.0 * (tolerance::weight(&head) + tolerance::weight(&moved)));
        for score in [knorm, key_diff] {
            let gap = largest(&(score(&alone(&head)) - score(&alone(&moved))));
            prop_assert!(gap > 1e-6, "{gap}");
        }
        // Scaling all keys reorders neither and leaves directions.
        let scaled = causal(head.query(), &(head.key() * 2.0), head.value());
        prop_assert_eq!(knorm(&alone(&scaled)), knorm(&alone(&head)) * 2.0);
        prop_assert!(largest(&(key_diff(&alone(&scaled)) - key_diff(&alone(&head)))) <= tolerance::gamma(64));
        prop_assert!(largest(&(redundancy(&alone(&scaled), 2.0) - redundancy(&alone(&head), 2.0))) <= 1e-6);
    }

    #[test]
    fn c30_critical_kv_weighs_what_zeroing_the_value_costs_behind_the_projection(head in square(), projection in strategies::matrix(5, 3)) {
        // Base: summed weights. Brute force: sum over the queries of ‖W (change of o)‖₁.
        let group = alone(&head).with_projections(vec![projection.clone()]).unwrap();
        let base = accumulate(&attend(&head).weights, QueryWindow::All);
        let saliency = critical_kv(&group, &base, 0, 0.0).unwrap();
        let entries = projection.fold(0.0, |sum: f64, w| sum + w.abs());
        for token in 0..head.kv_len() {
            let change = oracle::perturbation(&head, Perturbation::ValueZeroing, token).dot(&projection.t());
            let truth = change.iter().map(|c| c.abs()).sum::<f64>();
            let slack = head.query_len() as f64 * entries * tolerance::change(&head);
            prop_assert!((saliency[token] - truth).abs() <= slack, "{} {truth}", saliency[token]);
        }
    }

    #[test]
    fn c31_lag_kv_sees_no_scale_and_no_offset_of_a_channel(head in square(), scale in 0.5..4.0_f64, offset in -3.0..3.0_f64) {
        let lag = LagKv { sinks: 1, lag: 2 };
        let plain = lag.saliency(&alone(&head));
        let mut key = head.key().clone();
        key.column_mut(1).mapv_inplace(|x| scale * x + offset);
        let moved = lag.saliency(&alone(&causal(head.query(), &key, head.value())));
        for start in [1, 3, 5] {
            let sum = plain.slice(s![start..start + 2]).sum();
            prop_assert!(close(sum, 1.0, 1.0, 64));
        }
        let narrow = |rows: &Array2<f64>| (1..8).flat_map(|row| (0..rows.ncols()).map(move |c| (row, c)))
            .map(|(row, c)| (rows[[row, c]] - rows[[row + 1, c]]).abs()).fold(f64::INFINITY, f64::min);
        prop_assume!(narrow(head.key()).min(narrow(head.value())) > 1e-3);
        for (plain, moved) in plain.iter().zip(&moved).filter(|(plain, _)| plain.is_finite()) {
            // A range of at least 1e-3 · 0.5 beside numbers of at most 11 loses a factor of 22000; deviations reach 4000.
            prop_assert!(close(*plain, *moved, 1.0, 1 << 30), "{plain} {moved}");
        }
    }

    #[test]
    fn c32_non_causal_votes_are_those_of_attention_within_the_chunk(head in square(), chunk in 1..11_usize) {
        // The reference attends under a block mask; kvpress's padding gives other votes unless the chunk divides the length.
        let block = Array2::from_shape_fn((9, 9), |(i, j)| i / chunk == j / chunk);
        let masked = causal(head.query(), head.key(), head.value()).with_visibility(Visibility::from_mask(block)).unwrap();
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
    }

    #[test]
    fn c33_of_two_equal_keys_the_older_is_the_more_redundant(head in square(), old in 1..8_usize) {
        let mut key = head.key().clone();
        let copy = key.row(old).to_owned();
        key.row_mut(8).assign(&copy);
        prop_assume!(copy.dot(&copy) > 0.01);
        let group = alone(&causal(head.query(), &key, head.value()));
        let redundant = redundancy(&group, 0.5);
        prop_assert!(redundant[old] >= redundant[8] * (1.0 - tolerance::gamma(256)));
        let even = Array1::ones(9);
        let saliency = r_kv(&group, &even, 0.1, 0.5).unwrap();
        prop_assert!(saliency[old] <= saliency[8] + tolerance::gamma(256));
    }

    #[test]
    fn c34_no_allocation_of_the_same_total_does_better_where_errors_add_up(errors in strategies::matrix(3, 4), total in 0..13_usize) {
        let errors: Vec<Array1<f64>> = errors.rows().into_iter().map(|row| row.mapv(f64::abs)).collect();
        let budgets = water_filling(&errors, total, 0).unwrap();
        prop_assert_eq!(budgets.iter().sum::<usize>(), total);
        let found = additive_error(&errors, &budgets);
        for a in 0..=4_usize {
            for b in 0..=4_usize {
                let Some(c) = total.checked_sub(a + b).filter(|&c| c <= 4) else { continue };
                prop_assert!(found <= additive_error(&errors, &[a, b, c]) * (1.0 + tolerance::gamma(24)));
            }
        }
        // Of a layer's uniform budget, AdaKV without safeguard finds the same, and with all of it the uniform one.
        if total.is_multiple_of(3) {
            prop_assert_eq!(&ada_kv(&errors, total / 3, 0.0).unwrap(), &budgets);
            prop_assert_eq!(ada_kv(&errors, total / 3, 1.0).unwrap(), uniform(total, 3));
        }
    }

    #[test]
    fn c34_every_allocation_spends_its_total_and_keeps_its_floor(saliency in strategies::matrix(4, 8), per_head in 0..9_usize, safeguard in 0.0..1.0_f64) {
        let heads: Vec<Array1<f64>> = saliency.rows().into_iter().map(|row| row.to_owned()).collect();
        let budgets = ada_kv(&heads, per_head, safeguard).unwrap();
        prop_assert_eq!(budgets.iter().sum::<usize>(), 4 * per_head);
        let floor = (per_head as f64 * safeguard) as usize;
        prop_assert!(budgets.iter().all(|&budget| (floor..=8).contains(&budget)));
        let layers = pyramid_kv(6, 200, 8.0 * (per_head + 1) as f64, 1, 20.0);
        let total: usize = layers.iter().sum();
        prop_assert!((total as f64 - 48.0 * (per_head + 1) as f64).abs() <= 3.0, "{layers:?}");
        prop_assert!(layers.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn c35_pages_of_one_token_are_chosen_as_tokens(saliency in strategies::matrix(1, 9), budget in 0..10_usize, sinks in 0..3_usize, recent in 0..3_usize) {
        let saliency = saliency.row(0).to_owned();
        let positions: Vec<usize> = (0..9).map(|slot| 2 * slot).collect();
        let protection = Protection { sinks, recent };
        let tokens = select(&saliency, Budget::Tokens(budget), protection);
        prop_assert_eq!(select_pages(&saliency, &positions, 1, budget, protection), tokens);
    }

    #[test]
    fn c35_a_page_goes_or_stays_as_a_whole(saliency in strategies::matrix(1, 12), page in 1..6_usize, budget in 0..13_usize) {
        let positions: Vec<usize> = (3..15).collect();
        let kept = select_pages(&saliency.row(0).to_owned(), &positions, page, budget, Protection::default()).unwrap();
        prop_assert!(kept.len() <= budget);
        let of_page = |slot: usize| positions[slot] / page;
        for slot in 0..12 {
            let mates = (0..12).filter(|&other| of_page(other) == of_page(slot));
            prop_assert!(mates.clone().all(|mate| kept.contains(&mate) == kept.contains(&slot)));
        }
        prop_assert!(budget - kept.len() < page || kept.len() == 12);
    }

    #[test]
    fn c18_chunks_and_steps_of_a_group_add_up_to_the_batch(
        queries in strategies::matrix(12, 3), key in strategies::matrix(6, 3), value in strategies::matrix(6, 2),
        first in 1..4_usize, window in 0..5_usize,
    ) {
        // Two query heads; a prompt of four tokens in two chunks, then two steps.
        let rows = |head: usize| queries.slice(s![6 * head..6 * head + 6, ..]).to_owned();
        let part = |head: usize, from: usize, to: usize| {
            let cut = |rows: &Array2<f64>, from: usize| rows.slice(s![from..to, ..]).to_owned();
            let head = causal(&cut(&rows(head), from), &cut(&key, 0), &cut(&value, 0));
            let trace = attend(&head);
            (head, trace)
        };
        let group = |from: usize, to: usize| [part(0, from, to), part(1, from, to)];
        let prefill_window = if window == 0 { QueryWindow::All } else { QueryWindow::Last(window) };
        for score in Score::ALL {
            let policy = Policy { score, prefill_window, accumulate: true, pooling: None, heavy: 6, recent: 0, sinks: 0 };
            let schedule = Schedule { every: 2, page: 1, reduction: GroupReduction::Sum };
            let mut tracker = GroupTracker::new(policy, 2, schedule).unwrap();
            tracker.prefill_chunk(&group(0, first), 4 - first).unwrap();
            tracker.prefill_chunk(&group(first, 4), 0).unwrap();
            tracker.step(&group(4, 5)).unwrap();
            prop_assert!(!tracker.due());
            tracker.step(&group(5, 6)).unwrap();
            prop_assert!(tracker.due());
            prop_assert_eq!(tracker.bytes(), 2 * 6 * 16);
            for (head, tracked) in tracker.trackers().iter().enumerate() {
                let (whole, trace) = part(head, 0, 6);
                let contributions = score.contributions(&whole, &trace);
                let counted = prefill_window.queries(4).chain(4..6);
                let batch: Array1<f64> = counted.map(|query| contributions.row(query).to_owned()).fold(Array1::zeros(6), |sum, row| sum + row);
                for (tracked, batch) in tracked.saliency().iter().zip(&batch) {
                    prop_assert!((tracked - batch).abs() <= tolerance::gamma(12) * batch, "{score}");
                }
            }
        }
    }

    #[test]
    fn c18_after_evictions_a_group_holds_what_its_own_caches_gave(
        queries in strategies::matrix(20, 3), key in strategies::matrix(10, 3), value in strategies::matrix(10, 2),
        every in 1..4_usize, page in 1..3_usize,
    ) {
        // Recomputed from scratch: at each step the cache that is left is attended to, and its contributions are added by hand.
        let policy = Policy { sinks: 1, ..Policy::published("obcVK_fullhist", 2, 2).unwrap() };
        let schedule = Schedule { every, page, reduction: GroupReduction::Mean };
        let mut tracker = GroupTracker::new(policy.clone(), 2, schedule).unwrap();
        let mut held: Vec<(usize, [f64; 2])> = Vec::new();
        for token in 0..10 {
            let cached: Vec<usize> = held.iter().map(|(position, _)| *position).chain([token]).collect();
            let part = |head: usize| {
                let query = queries.slice(s![10 * head + token..10 * head + token + 1, ..]).to_owned();
                let head = Head::new(query, key.select(Axis(0), &cached), value.select(Axis(0), &cached)).unwrap();
                let trace = attend(&head);
                (head, trace)
            };
            let group = [part(0), part(1)];
            held.push((token, [0.0; 2]));
            for (place, (head, trace)) in group.iter().enumerate() {
                let contributions = policy.score.contributions(head, trace);
                for (slot, (_, sums)) in held.iter_mut().enumerate() {
                    sums[place] += contributions[[0, slot]];
                }
            }
            tracker.step(&group).unwrap();
            if tracker.due() {
                let slots = tracker.choice();
                // Pages of two may protect more than the budget of five.
                let Ok(slots) = slots else { return Ok(()) };
                prop_assert!(slots.len() <= 5 && slots.contains(&0));
                prop_assert!(held.len() < 2 || slots.contains(&(held.len() - 1)));
                tracker.keep(&slots).unwrap();
                held = slots.iter().map(|&slot| held[slot]).collect();
            }
            let positions: Vec<usize> = held.iter().map(|(position, _)| *position).collect();
            prop_assert_eq!(tracker.positions(), &positions[..]);
            for (place, tracked) in tracker.trackers().iter().enumerate() {
                let sums: Array1<f64> = held.iter().map(|(_, sums)| sums[place]).collect();
                prop_assert_eq!(tracked.saliency(), &sums);
            }
        }
    }
}

#[test]
fn c25_caote_over_two_queries_is_no_exact_error() {
    // Weights (9/10, 1/10) and (1/10, 9/10) on values 0 and 1. Removing the first changes the outputs by 9/10 and 1/10.
    // CAOTE takes the mean weights (1/2, 1/2): output 1/2, and 1 · 1/2 for each token.
    let query = array![[9f64.ln()], [-(9f64.ln())]];
    let head = Head::new(query, array![[1.0], [0.0]], array![[0.0], [1.0]]).unwrap();
    let head = head.with_visibility(Visibility::all(2, 2)).unwrap();
    let trace = attend(&head);
    let base = accumulate(&trace.weights, QueryWindow::All);
    let group = alone(&head);
    assert!((caote(&group, &base).unwrap()[0] - 0.5).abs() <= tolerance::gamma(64));
    let exact = accumulate(&Score::Removal.contributions(&head, &trace), QueryWindow::All)[0];
    assert!((exact - (0.81 + 0.01)).abs() <= tolerance::gamma(64), "{exact}");
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
