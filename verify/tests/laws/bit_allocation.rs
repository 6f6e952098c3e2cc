//! Where a budget of bits is spent best (C21).

use obcache_scores::bits::allocation::{BitChoice, allocate_bits};
use proptest::collection::vec;
use proptest::prelude::*;
use verify::law::for_all;
use verify::tolerance::gamma;

/// Items of whole costs and distortions: sums of them are exact.
fn items() -> impl Strategy<Value = Vec<Vec<BitChoice>>> {
    let choice = (0..6i32, 0..40i32).prop_map(|(cost, distortion)| BitChoice {
        cost: f64::from(cost),
        distortion: f64::from(distortion),
    });
    vec(vec(choice, 1..5), 1..5)
}

/// Every way to choose, as (cost, distortion).
fn all_ways(items: &[Vec<BitChoice>]) -> Vec<(f64, f64)> {
    items.iter().fold(vec![(0.0, 0.0)], |ways, choices| {
        let with = |way: &(f64, f64)| -> Vec<(f64, f64)> {
            choices
                .iter()
                .map(|choice| (way.0 + choice.cost, way.1 + choice.distortion))
                .collect()
        };
        ways.iter().flat_map(with).collect()
    })
}

/// `w 4^-b` for b = 0 to `most`: the distortion of a token at b bits.
fn exponential(weight: f64, most: i32) -> Vec<BitChoice> {
    let choice = |bits: i32| BitChoice {
        cost: f64::from(bits),
        distortion: weight * 0.25f64.powi(bits),
    };
    (0..=most).map(choice).collect()
}

#[test]
fn c21_no_other_allocation_of_the_bits_spent_has_less_distortion() {
    for_all((items(), 0..20i32), |(items, budget)| {
        let ways = all_ways(&items);
        let cheapest = ways.iter().map(|way| way.0).fold(f64::INFINITY, f64::min);
        let Some(found) = allocate_bits(&items, f64::from(budget)) else {
            prop_assert!(cheapest > f64::from(budget));
            return Ok(());
        };
        prop_assert!(found.cost <= f64::from(budget));
        let least = ways
            .iter()
            .filter(|way| way.0 <= found.cost)
            .map(|way| way.1)
            .fold(f64::INFINITY, f64::min);
        prop_assert_eq!(found.distortion, least);
        Ok(())
    });
}

#[test]
fn c21_every_choice_is_the_best_at_the_price() {
    for_all((items(), 0..20i32), |(items, budget)| {
        if let Some(found) = allocate_bits(&items, f64::from(budget)) {
            for (choices, &at) in items.iter().zip(&found.chosen) {
                let lagrangian = |choice: &BitChoice| choice.distortion + found.price * choice.cost;
                let best = choices.iter().map(lagrangian).fold(f64::INFINITY, f64::min);
                // The price is a rounded quotient; product and sum round once more, of numbers up to 40 + 40 · 5.
                prop_assert!(lagrangian(&choices[at]) <= best + gamma(3) * 240.0);
            }
        }
        Ok(())
    });
}

#[test]
fn c21_on_exponential_curves_every_bit_is_spent_and_no_spending_is_better() {
    for_all((vec(0.0..9.0f64, 1..5), 0..12usize), |(weights, budget)| {
        let items: Vec<Vec<BitChoice>> = weights.iter().map(|&weight| exponential(weight.exp(), 3)).collect();
        let found = allocate_bits(&items, budget as f64).unwrap();
        prop_assert_eq!(found.cost, budget.min(3 * items.len()) as f64);
        let ways = all_ways(&items);
        let least = ways
            .iter()
            .filter(|way| way.0 <= budget as f64)
            .map(|way| way.1)
            .fold(f64::INFINITY, f64::min);
        prop_assert!((found.distortion - least).abs() <= gamma(8) * least);
        Ok(())
    });
}

#[test]
fn c21_whole_bits_lie_within_one_of_reverse_water_filling() {
    for_all((vec(-4.0..9.0f64, 1..9), 0..40usize), |(weights, budget)| {
        let most = 8;
        let items: Vec<Vec<BitChoice>> = weights.iter().map(|&weight| exponential(weight.exp(), most)).collect();
        let found = allocate_bits(&items, budget as f64).unwrap();
        // Bits of reverse water-filling at water level t (in bits), which falls until they sum to what was spent.
        let filled = |level: f64| -> Vec<f64> {
            let bits = |weight: &f64| (weight / 4f64.ln() - level).clamp(0.0, f64::from(most));
            weights.iter().map(bits).collect()
        };
        let (mut low, mut high) = (-20.0, 20.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if filled(middle).iter().sum::<f64>() > found.cost {
                low = middle
            } else {
                high = middle
            }
        }
        for (whole, filled) in found.chosen.iter().zip(filled(high)) {
            // Sixty halvings of an interval of 40 leave the level to within rounding.
            prop_assert!((*whole as f64 - filled).abs() <= 1.0 + 1e-12, "{whole} {filled}");
        }
        Ok(())
    });
}
