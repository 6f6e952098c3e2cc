//! Key zeroing is first order times phi, and how phi runs (C10).

use obcache_scores::Score;
use obcache_scores::exact::phi::{bounds, phi};
use obd_core::{Direction, Perturbation, QueryWindow, jacobian};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{farthest, sums};

#[test]
fn c10_exact_over_first_order_is_phi_whatever_the_values() {
    for_all(strategies::plain_head(), |head| {
        let trace = attend(&head);
        let largest = tolerance::largest_input(&head);
        // phi is at most (e^Z - 1) / Z (a → 0 at z = -Z, a → 1 at z = Z), and stretches the error of the first-order change.
        let stretch = (1.0 + largest) * largest.exp();
        for token in 0..head.kv_len() {
            let mut predicted = jacobian::apply(&head, &trace, &Direction::key_deletion(&head, token));
            for ((i, _), change) in predicted.indexed_iter_mut() {
                *change *= phi(trace.weights[[i, token]], trace.logits[[i, token]]);
            }
            let truth = oracle::key_zeroing(&head, token);
            prop_assert!(farthest(&predicted, &truth) <= tolerance::change(&head) * stretch);
        }
        Ok(())
    });
}

#[test]
fn c10_true_key_error_lies_between_its_bounds() {
    for_all(strategies::plain_head(), |head| {
        let trace = attend(&head);
        let score = sums(Score::Key, &head);
        let truth = oracle::token_errors(&head, Perturbation::KeyZeroing, QueryWindow::All);
        let bounds = bounds(&head, &trace, QueryWindow::All);
        let stretch = (1.0 + tolerance::largest_input(&head)) * tolerance::largest_input(&head).exp();
        let slack = tolerance::squared_change(&head, stretch);
        for j in (0..head.kv_len()).filter(|&j| bounds[[j, 0]].is_finite() && bounds[[j, 1]].is_finite()) {
            prop_assert!(bounds[[j, 0]].powi(2) * score[j] <= truth[j] + slack);
            prop_assert!(truth[j] <= bounds[[j, 1]].powi(2) * score[j] + slack);
        }
        Ok(())
    });
}

/// phi takes fewer than 16 roundings; both sides of a comparison do.
fn slack(size: f64) -> f64 {
    size * tolerance::gamma(32)
}

#[test]
fn c10_phi_of_a_negative_logit_is_phi_of_the_other_weight() {
    for_all((0.01..0.99f64, 0.01..30.0f64), |(a, z)| {
        let (left, right) = (phi(a, -z), phi(1.0 - a, z));
        prop_assert!((left - right).abs() <= slack(right) / (1.0 - a).min(a));
        Ok(())
    });
}

#[test]
fn c10_phi_lies_between_its_bounds_for_every_weight() {
    for_all((0.01..0.99f64, (-7.0..3.4f64).prop_map(f64::exp)), |(a, z)| {
        // The bounds close in on phi as z nears 0: small logits are drawn as often as large ones.
        for phi in [phi(a, z), phi(a, -z)] {
            prop_assert!(phi >= -(-z).exp_m1() / z * (1.0 - slack(1.0)));
            prop_assert!(phi <= z.exp_m1() / z * (1.0 + slack(1.0)));
            prop_assert!(phi <= (1.0 + slack(1.0)) / (4.0 * a * (1.0 - a)));
        }
        Ok(())
    });
}

#[test]
fn c10_phi_rises_with_the_weight_where_the_logit_is_positive() {
    for_all((0.0..0.9f64, 0.01..0.09f64, 0.1..30.0f64), |(a, step, z)| {
        prop_assert!(phi(a + step, z) > phi(a, z));
        prop_assert!(phi(a + step, -z) < phi(a, -z));
        Ok(())
    });
}

#[test]
fn c10_phi_falls_over_positive_logits_up_to_weight_one_half() {
    for_all((0.0..0.5f64, 0.0..30.0f64, 0.01..1.0f64), |(a, z, step)| {
        prop_assert!(phi(a, z + step) < phi(a, z));
        Ok(())
    });
}

#[test]
fn c10_phi_falls_back_to_nothing_as_the_logit_falls() {
    // |z| phi → 1/a: at z = -100, a = 1/2, 100 · phi = 2 up to e^-100.
    assert!((100.0 * phi(0.5, -100.0) - 2.0).abs() <= slack(2.0));
    assert!(phi(0.001, -10.0) > phi(0.001, -100.0));
}

#[test]
fn c10_limits_of_phi() {
    assert_eq!(phi(0.3, 0.0), 1.0);
    // z → ∞: 1 / (z (1 - a)) = 1 / (100 · 0.5) up to e^-100.
    assert!((phi(0.5, 100.0) - 0.02).abs() < 1e-16);
    assert!(phi(1e-9, -10.0) > 2000.0); // (e^10 - 1) / 10 = 2202.5
    // z → -∞: 1 / (a |z|).
    assert!((phi(0.5, -800.0) * 400.0 - 1.0).abs() < 1e-15);
}
