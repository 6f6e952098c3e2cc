//! Exact perturbations: closed forms against attention run again on the changed cache (claims C8 to C13).

use ndarray::{Array2, array};
use obcache_scores::{Score, accumulate, exact, phi, set};
use obd_core::{Direction, Head, Perturbation, QueryWindow, jacobian};
use proptest::prelude::*;
use reference_attention::{HighPrecision, Scalar, attend, oracle};
use verify::{strategies, tolerance};

fn farthest(left: &Array2<f64>, right: &Array2<f64>) -> f64 {
    (left - right).iter().fold(0.0, |farthest, x| x.abs().max(farthest))
}

/// Two tokens of logits 0 and ln 3, values 4 and 0: weights 1/4 and 3/4, output 1.
fn quarter() -> Head {
    Head::new(array![[1.0]], array![[0.0], [3f64.ln()]], array![[4.0], [0.0]]).unwrap()
}

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c08_closed_forms_agree_with_brute_force(head in strategies::head()) {
        let trace = attend(&head);
        for what in Perturbation::ALL {
            for token in 0..head.kv_len() {
                let gap = farthest(&exact::perturbation(what, &head, &trace, token), &oracle::perturbation(&head, what, token));
                prop_assert!(gap <= tolerance::change(&head), "{what:?} {token}: {gap:e} {:e}", tolerance::change(&head));
            }
        }
    }

    #[test]
    fn c08_summed_closed_forms_agree_with_brute_force(head in strategies::head()) {
        let trace = attend(&head);
        for what in Perturbation::ALL {
            let closed = accumulate(&exact::contributions(what, &head, &trace), QueryWindow::All);
            for (closed, brute) in closed.iter().zip(oracle::token_errors(&head, what, QueryWindow::All)) {
                prop_assert!((closed - brute).abs() <= tolerance::squared_change(&head, 1.0));
            }
        }
    }

    #[test]
    fn c09_value_score_is_the_exact_error_of_value_zeroing(head in strategies::head()) {
        let score = accumulate(&Score::Value.contributions(&head, &attend(&head)), QueryWindow::All);
        let truth = oracle::token_errors(&head, Perturbation::ValueZeroing, QueryWindow::All);
        for (score, truth) in score.iter().zip(truth) {
            prop_assert!((score - truth).abs() <= tolerance::squared_change(&head, 1.0));
        }
    }

    #[test]
    fn c10_exact_over_first_order_is_phi_whatever_the_values(head in strategies::plain_head()) {
        let trace = attend(&head);
        let largest = tolerance::largest_input(&head);
        // phi is at most (e^Z - 1) / Z (a → 0 at z = -Z, a → 1 at z = Z), and stretches the error of the first-order change.
        let stretch = (1.0 + largest) * largest.exp();
        for token in 0..head.kv_len() {
            let mut predicted = jacobian::apply(&head, &trace, &Direction::key_deletion(&head, token));
            for ((i, _), change) in predicted.indexed_iter_mut() {
                *change *= phi::phi(trace.weights[[i, token]], trace.logits[[i, token]]);
            }
            let truth = oracle::key_zeroing(&head, token);
            prop_assert!(farthest(&predicted, &truth) <= tolerance::change(&head) * stretch);
        }
    }

    #[test]
    fn c10_true_key_error_lies_between_its_bounds(head in strategies::plain_head()) {
        let trace = attend(&head);
        let score = accumulate(&Score::Key.contributions(&head, &trace), QueryWindow::All);
        let truth = oracle::token_errors(&head, Perturbation::KeyZeroing, QueryWindow::All);
        let bounds = phi::bounds(&head, &trace, QueryWindow::All);
        let stretch = (1.0 + tolerance::largest_input(&head)) * tolerance::largest_input(&head).exp();
        let slack = tolerance::squared_change(&head, stretch);
        for j in (0..head.kv_len()).filter(|&j| bounds[[j, 0]].is_finite() && bounds[[j, 1]].is_finite()) {
            prop_assert!(bounds[[j, 0]].powi(2) * score[j] <= truth[j] + slack);
            prop_assert!(truth[j] <= bounds[[j, 1]].powi(2) * score[j] + slack);
        }
    }

    #[test]
    fn c10_phi_rises_with_the_weight_where_the_logit_is_positive(a in 0.0..0.9, step in 0.01..0.09, z in 0.1..30.0) {
        prop_assert!(phi::phi(a + step, z) > phi::phi(a, z));
        prop_assert!(phi::phi(a + step, -z) < phi::phi(a, -z));
    }

    #[test]
    fn c11_joint_form_misses_the_mixed_derivative_up_to_its_remainder(head in strategies::plain_head()) {
        // With o' the output without the token and a' the weight of the zeroed key: exact = -a v - (a' - a) o', first
        // order = -a v - a (1 - a) z (v - o'). Their gap is a (1 - a) z v - r o' with r = a' - a + a (1 - a) z, and
        // |r| <= z² / 2 max|sigmoid''| = z² / (12 √3).
        let trace = attend(&head);
        let slack = tolerance::change(&head) * (2.0 + tolerance::largest_input(&head));
        for token in 0..head.kv_len() {
            let first = jacobian::apply(&head, &trace, &Direction::joint_deletion(&head, token));
            let others = attend(&head.clone().without(&[token])).output;
            for ((i, c), truth) in oracle::joint_zeroing(&head, token).indexed_iter() {
                let (a, z) = (trace.weights[[i, token]], trace.logits[[i, token]]);
                let mixed = a * (1.0 - a) * z * head.value()[[token, c]];
                let seen = if head.visibility().visible(i, token) { 1.0 } else { 0.0 };
                let remainder = seen * z * z / (12.0 * 3f64.sqrt()) * others[[i, c]].abs();
                prop_assert!((truth - first[[i, c]] - mixed).abs() <= remainder + slack);
            }
        }
    }

    #[test]
    fn c11_joint_form_misses_what_phi_says(head in strategies::plain_head()) {
        let trace = attend(&head);
        // a (1 - a) z phi is a - a', whose derivative by a or z is at most e^Z, as in C10.
        let slack = tolerance::change(&head) * (2.0 + tolerance::largest_input(&head)) * tolerance::largest_input(&head).exp();
        for token in 0..head.kv_len() {
            let first = jacobian::apply(&head, &trace, &Direction::joint_deletion(&head, token));
            let others = attend(&head.clone().without(&[token])).output;
            for ((i, c), truth) in oracle::joint_zeroing(&head, token).indexed_iter() {
                let (a, z) = (trace.weights[[i, token]], trace.logits[[i, token]]);
                let dropped = head.value()[[token, c]] - (1.0 - phi::phi(a, z)) * others[[i, c]];
                prop_assert!((truth - first[[i, c]] - a * (1.0 - a) * z * dropped).abs() <= slack);
            }
        }
    }

    #[test]
    fn c12_removal_score_is_the_exact_error_of_eviction(head in strategies::head()) {
        let score = accumulate(&Score::Removal.contributions(&head, &attend(&head)), QueryWindow::All);
        let truth = oracle::token_errors(&head, Perturbation::Removal, QueryWindow::All);
        for (score, truth) in score.iter().zip(truth) {
            prop_assert!((score - truth).abs() <= tolerance::squared_change(&head, 1.0));
        }
    }

    #[test]
    fn c13_set_removal_agrees_with_brute_force(head in strategies::head(), members in any::<u16>()) {
        let tokens: Vec<usize> = (0..head.kv_len()).filter(|j| members >> j & 1 == 1).collect();
        let gap = farthest(&set::perturbation(&head, &attend(&head), &tokens), &oracle::set_removal(&head, &tokens));
        prop_assert!(gap <= tolerance::change(&head), "{gap:e}");
    }

    #[test]
    fn c13_a_set_of_all_tokens_takes_the_whole_output(head in strategies::head()) {
        let trace = attend(&head);
        let all: Vec<usize> = (0..head.kv_len()).collect();
        prop_assert!(farthest(&set::perturbation(&head, &trace, &all), &-&trace.output) <= tolerance::change(&head));
    }
}

#[test]
fn c08_a_quarter_weight_by_hand() {
    // a = 1/4, v = 4, o = 1, z = 0: removal -1/3 · 3 = -1; key zeroing 0; value and joint zeroing -1/4 · 4 = -1.
    let (head, expected) = (quarter(), [-1.0, 0.0, -1.0, -1.0]);
    for (what, expected) in Perturbation::ALL.into_iter().zip(expected) {
        let change = exact::perturbation(what, &head, &attend(&head), 0)[[0, 0]];
        assert!(
            (change - expected).abs() <= tolerance::change(&head),
            "{what:?} {change}"
        );
    }
}

#[test]
fn c12_survives_a_weight_that_rounds_to_one() {
    // Logits 60, 0 and 0: 1 - a = 2 e^-60 is lost in f64, yet o' is the mean 2 of values 1 and 3: error a² (5 - 2)².
    let head = Head::new(array![[1.0]], array![[60.0], [0.0], [0.0]], array![[5.0], [1.0], [3.0]]).unwrap();
    let head = head.with_visibility(obd_core::Visibility::all(1, 3)).unwrap();
    let trace = attend(&head);
    assert_eq!(trace.weights[[0, 0]], 1.0);
    let precise = oracle::removal(&head.lift(|x| HighPrecision::from_f64(*x)), 0)[[0, 0]].to_f64();
    let closed = exact::perturbation(Perturbation::Removal, &head, &trace, 0)[[0, 0]];
    assert!((closed + 3.0).abs() <= tolerance::change(&head));
    assert!((closed - precise).abs() <= tolerance::change(&head));
}

#[test]
fn c10_limits_of_phi() {
    assert_eq!(phi::phi(0.3, 0.0), 1.0);
    // z → ∞: 1 / (z (1 - a)) = 1 / (100 · 0.5) up to e^-100.
    assert!((phi::phi(0.5, 100.0) - 0.02).abs() < 1e-16);
    assert!(phi::phi(1e-9, -10.0) > 2000.0); // (e^10 - 1) / 10 = 2202.5
    // z → -∞: 1 / (a |z|).
    assert!((phi::phi(0.5, -800.0) * 400.0 - 1.0).abs() < 1e-15);
}

#[test]
fn c11_joint_score_is_not_the_error_of_joint_zeroing() {
    // Logit ln 3, value 4, a = 3/4, o = 3: exact: a' = 1/2 of value 0 leaves output 0, change -3, error 9;
    // first order: -3/4 (4 + ln 3 · 1) = -3.82.
    let head = Head::new(array![[1.0]], array![[0.0], [3f64.ln()]], array![[0.0], [4.0]]).unwrap();
    let score = Score::Joint.contributions(&head, &attend(&head))[[0, 1]];
    let truth = oracle::token_errors(&head, Perturbation::JointZeroing, QueryWindow::All)[1];
    assert!((truth - 9.0).abs() < tolerance::squared_change(&head, 1.0));
    assert!(score > 14.0);
}

#[test]
fn c13_errors_of_a_set_do_not_add_up() {
    // Equal weights 1/3, values 3, 0 and -3, output 0. Alone: 3 costs (1/2 · 3)² = 2.25, -3 the same. Together: nothing.
    let head = Head::new(array![[1.0]], array![[0.0], [0.0], [0.0]], array![[3.0], [0.0], [-3.0]]).unwrap();
    let trace = attend(&head);
    let error = |tokens: &[usize]| set::removal_error(&head, &trace, tokens, QueryWindow::All);
    assert!((error(&[0]) - 2.25).abs() < tolerance::squared_change(&head, 1.0));
    assert!(error(&[0, 2]) < tolerance::squared_change(&head, 1.0));
}
