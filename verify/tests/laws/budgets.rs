//! Budgets across heads and layers (C34), by pages (C35) and by position alone (C43).

use ndarray::Array1;
use obcache_scores::field::streaming_llm;
use obcache_scores::select::budgets::{ada_kv, additive_error, pyramid_kv, uniform, water_filling};
use obcache_scores::select::{Budget, Protection, select, select_pages};
use proptest::prelude::*;
use verify::law::for_cases;
use verify::strategies::matrix;
use verify::tolerance;

#[test]
fn c34_no_allocation_of_the_same_total_does_better_where_errors_add_up() {
    for_cases(48, (matrix(3, 4), 0..13_usize), |(errors, total)| {
        let errors: Vec<Array1<f64>> = errors.rows().into_iter().map(|row| row.mapv(f64::abs)).collect();
        let budgets = water_filling(&errors, total, 0).unwrap();
        prop_assert_eq!(budgets.iter().sum::<usize>(), total);
        let found = additive_error(&errors, &budgets);
        for a in 0..=4_usize {
            for b in 0..=4_usize {
                let Some(c) = total.checked_sub(a + b).filter(|&c| c <= 4) else {
                    continue;
                };
                prop_assert!(found <= additive_error(&errors, &[a, b, c]) * (1.0 + tolerance::gamma(24)));
            }
        }
        // Of a layer's uniform budget, AdaKV without safeguard finds the same, and with all of it the uniform one.
        if total.is_multiple_of(3) {
            prop_assert_eq!(&ada_kv(&errors, total / 3, 0.0).unwrap(), &budgets);
            prop_assert_eq!(ada_kv(&errors, total / 3, 1.0).unwrap(), uniform(total, 3));
        }
        Ok(())
    });
}

#[test]
fn c34_every_allocation_spends_its_total_and_keeps_its_floor() {
    let inputs = (matrix(4, 8), 0..9_usize, 0.0..1.0_f64);
    for_cases(48, inputs, |(saliency, per_head, safeguard)| {
        let heads: Vec<Array1<f64>> = saliency.rows().into_iter().map(|row| row.to_owned()).collect();
        let budgets = ada_kv(&heads, per_head, safeguard).unwrap();
        prop_assert_eq!(budgets.iter().sum::<usize>(), 4 * per_head);
        let floor = (per_head as f64 * safeguard) as usize;
        prop_assert!(budgets.iter().all(|&budget| (floor..=8).contains(&budget)));
        let layers = pyramid_kv(6, 200, 8.0 * (per_head + 1) as f64, 1, 20.0);
        let total: usize = layers.iter().sum();
        prop_assert!((total as f64 - 48.0 * (per_head + 1) as f64).abs() <= 3.0, "{layers:?}");
        prop_assert!(layers.is_sorted_by(|a, b| a >= b));
        Ok(())
    });
}

#[test]
fn c35_pages_of_one_token_are_chosen_as_tokens() {
    let inputs = (matrix(1, 9), 0..10_usize, 0..3_usize, 0..3_usize);
    for_cases(48, inputs, |(saliency, budget, sinks, recent)| {
        let saliency = saliency.row(0).to_owned();
        let positions: Vec<usize> = (0..9).map(|slot| 2 * slot).collect();
        let protection = Protection { sinks, recent };
        let tokens = select(&saliency, Budget::Tokens(budget), protection);
        prop_assert_eq!(select_pages(&saliency, &positions, 1, budget, protection), tokens);
        Ok(())
    });
}

#[test]
fn c35_a_page_goes_or_stays_as_a_whole() {
    let inputs = (matrix(1, 12), 1..6_usize, 0..13_usize);
    for_cases(48, inputs, |(saliency, page, budget)| {
        let positions: Vec<usize> = (3..15).collect();
        let kept = select_pages(
            &saliency.row(0).to_owned(),
            &positions,
            page,
            budget,
            Protection::default(),
        )
        .unwrap();
        prop_assert!(kept.len() <= budget);
        let of_page = |slot: usize| positions[slot] / page;
        for slot in 0..12 {
            let mates = (0..12).filter(|&other| of_page(other) == of_page(slot));
            prop_assert!(mates.clone().all(|mate| kept.contains(&mate) == kept.contains(&slot)));
        }
        prop_assert!(budget - kept.len() < page || kept.len() == 12);
        Ok(())
    });
}

#[test]
fn c43_position_alone_keeps_what_any_ranking_keeps_when_all_is_protected() {
    let inputs = (prop::collection::vec(-1e3..1e3f64, 1..40), 0..6usize, 0.0..1.0f64);
    for_cases(48, inputs, |(ranking, sinks, part)| {
        let tokens = ranking.len();
        let sinks = sinks.min(tokens);
        let kept = sinks + (part * (tokens - sinks + 1) as f64) as usize;
        let alone = select(
            &streaming_llm(tokens, sinks),
            Budget::Tokens(kept),
            Protection::default(),
        )
        .unwrap();
        let expected: Vec<usize> = (0..sinks).chain(tokens + sinks - kept..tokens).collect();
        prop_assert_eq!(&alone, &expected);
        let protection = Protection {
            sinks,
            recent: kept - sinks,
        };
        prop_assert_eq!(
            select(&Array1::from(ranking), Budget::Tokens(kept), protection).unwrap(),
            alone
        );
        Ok(())
    });
}
