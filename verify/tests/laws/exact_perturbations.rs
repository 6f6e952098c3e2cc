//! Exact perturbations of one token: closed forms against attention run again on the changed cache (C8, C9, C12).

use ndarray::array;
use obcache_scores::{Score, accumulate, exact};
use obd_core::{Head, Perturbation, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::{HighPrecision, Scalar, attend, oracle};
use verify::law::{Law, for_all};
use verify::{strategies, tolerance};

use crate::heads::{farthest, sums};

#[test]
fn c08_closed_forms_agree_with_brute_force() {
    for_all(strategies::head(), |head| {
        let trace = attend(&head);
        for what in Perturbation::ALL {
            for token in 0..head.kv_len() {
                let gap = farthest(
                    &exact::perturbation(what, &head, &trace, token),
                    &oracle::perturbation(&head, what, token),
                );
                prop_assert!(
                    gap <= tolerance::change(&head),
                    "{what:?} {token}: {gap:e} {:e}",
                    tolerance::change(&head)
                );
            }
        }
        Ok(())
    });
}

#[test]
fn c08_summed_closed_forms_agree_with_brute_force() {
    for_all(strategies::head(), |head| {
        let trace = attend(&head);
        for what in Perturbation::ALL {
            let closed = accumulate(&exact::contributions(what, &head, &trace), QueryWindow::All);
            for (closed, brute) in closed.iter().zip(oracle::token_errors(&head, what, QueryWindow::All)) {
                prop_assert!((closed - brute).abs() <= tolerance::squared_change(&head, 1.0));
            }
        }
        Ok(())
    });
}

/// The score of every token is the error that the perturbation makes, by brute force.
fn is_exact_for(score: Score, what: Perturbation, head: &Head) -> Law {
    let truth = oracle::token_errors(head, what, QueryWindow::All);
    for (score, truth) in sums(score, head).iter().zip(truth) {
        prop_assert!((score - truth).abs() <= tolerance::squared_change(head, 1.0));
    }
    Ok(())
}

#[test]
fn c09_value_score_is_the_exact_error_of_value_zeroing() {
    for_all(strategies::head(), |head| {
        is_exact_for(Score::Value, Perturbation::ValueZeroing, &head)
    });
}

#[test]
fn c12_removal_score_is_the_exact_error_of_eviction() {
    for_all(strategies::head(), |head| {
        is_exact_for(Score::Removal, Perturbation::Removal, &head)
    });
}

/// Two tokens of logits 0 and ln 3, values 4 and 0: weights 1/4 and 3/4, output 1.
fn quarter() -> Head {
    Head::new(array![[1.0]], array![[0.0], [3f64.ln()]], array![[4.0], [0.0]]).unwrap()
}

#[test]
fn c08_a_quarter_weight_by_hand() {
    // a = 1/4, v = 4, o = 1, z = 0: removal -1/3 · 3 = -1; key zeroing 0; value and joint zeroing -1/4 · 4 = -1.
    let (head, expected): (_, [f64; Perturbation::ALL.len()]) = (quarter(), [-1.0, 0.0, -1.0, -1.0]);
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
    let head = head.with_visibility(Visibility::all(1, 3)).unwrap();
    let trace = attend(&head);
    assert_eq!(trace.weights[[0, 0]], 1.0);
    let precise = oracle::removal(&head.lift(|x| HighPrecision::from_f64(*x)), 0)[[0, 0]].to_f64();
    let closed = exact::perturbation(Perturbation::Removal, &head, &trace, 0)[[0, 0]];
    assert!((closed + 3.0).abs() <= tolerance::change(&head));
    assert!((closed - precise).abs() <= tolerance::change(&head));
}
