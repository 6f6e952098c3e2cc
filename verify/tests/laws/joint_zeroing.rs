//! The joint score drops a term of first order in the logit (C11).

use obcache_scores::Score;
use obcache_scores::exact::phi::phi;
use obd_core::{Direction, Perturbation, QueryWindow, jacobian};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{sums, three_quarters};

#[test]
fn c11_joint_form_misses_the_mixed_derivative_up_to_its_remainder() {
    for_all(strategies::plain_head(), |head| {
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
        Ok(())
    });
}

#[test]
fn c11_joint_form_misses_what_phi_says() {
    for_all(strategies::plain_head(), |head| {
        let trace = attend(&head);
        // a (1 - a) z phi is a - a', whose derivative by a or z is at most e^Z, as in C10.
        let slack =
            tolerance::change(&head) * (2.0 + tolerance::largest_input(&head)) * tolerance::largest_input(&head).exp();
        for token in 0..head.kv_len() {
            let first = jacobian::apply(&head, &trace, &Direction::joint_deletion(&head, token));
            let others = attend(&head.clone().without(&[token])).output;
            for ((i, c), truth) in oracle::joint_zeroing(&head, token).indexed_iter() {
                let (a, z) = (trace.weights[[i, token]], trace.logits[[i, token]]);
                let dropped = head.value()[[token, c]] - (1.0 - phi(a, z)) * others[[i, c]];
                prop_assert!((truth - first[[i, c]] - a * (1.0 - a) * z * dropped).abs() <= slack);
            }
        }
        Ok(())
    });
}

#[test]
fn c11_joint_score_is_not_the_error_of_joint_zeroing() {
    // Logit ln 3, value 4, a = 3/4, o = 3: exact: a' = 1/2 of value 0 leaves output 0, change -3, error 9;
    // first order: -3/4 (4 + ln 3 · 1) = -3.82.
    let head = three_quarters();
    let score = sums(Score::Joint, &head)[1];
    let truth = oracle::token_errors(&head, Perturbation::JointZeroing, QueryWindow::All)[1];
    assert!((truth - 9.0).abs() < tolerance::squared_change(&head, 1.0));
    assert!(score > 14.0);
}
