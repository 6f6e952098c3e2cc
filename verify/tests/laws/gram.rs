//! The Gram matrix of the tokens' perturbations, and what Optimal Brain Surgeon gains over Optimal Brain Damage (C4).

use ndarray::{Array2, Axis};
use obd_core::gram::{first_order_set_error, gram};
use obd_core::{Head, QueryWindow, objective, obs, spectrum};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{halves, thirds, tokens};

#[test]
fn c04_gram_matrix_is_positive_semi_definite() {
    for_all(strategies::head(), |head| {
        let gram = gram(&head, &attend(&head), QueryWindow::All);
        let smallest = spectrum::eigenvalues(&gram).unwrap()[0];
        // LAPACK moves an eigenvalue by a modest multiple of n u ‖G‖ (Weyl; n² here); each entry of the computed G is
        // off by γ times a sum bounded by the trace (Cauchy-Schwarz), so ‖ΔG‖ <= n γ trace.
        let n = gram.nrows();
        let entry = tolerance::gamma(n * n + head.query_len() * (head.value_dim() + 2));
        prop_assert!(smallest >= -(n as f64) * entry * gram.diag().sum(), "{smallest:e}");
        Ok(())
    });
}

#[test]
fn c04_first_order_sees_no_loss_in_losing_everything() {
    for_all(strategies::plain_head(), |head| {
        let gram = gram(&head, &attend(&head), QueryWindow::All);
        // A row of G is sum_i p_j·(sum_l p_l); the inner sum is 0 up to the error of the output and its kv_len + 1 terms,
        // |p_j| at most two values.
        let terms = (head.query_len() * head.value_dim()) as f64;
        let largest = tolerance::largest_value(&head);
        let zero = tolerance::change(&head) + 2.0 * largest * tolerance::gamma(2 * head.kv_len() + 8);
        for sum in gram.sum_axis(Axis(1)) {
            prop_assert!(sum.abs() <= terms * 4.0 * largest * zero * head.kv_len() as f64);
        }
        Ok(())
    });
}

#[test]
fn c04_gram_sum_over_a_set_is_its_first_order_error() {
    for_all((strategies::head(), any::<u16>()), |(head, members)| {
        let trace = attend(&head);
        let tokens = tokens(&head, members);
        // u - m o, with m and u the weight and the weighted values of the set: nothing of the matrix is used.
        let weights = trace.weights.select(Axis(1), &tokens);
        let mass = weights.sum_axis(Axis(1)).insert_axis(Axis(1));
        let change = weights.dot(&head.value().select(Axis(0), &tokens)) - &trace.output * &mass;
        let expected = oracle::error(&change, QueryWindow::All);
        let error = first_order_set_error(&gram(&head, &trace, QueryWindow::All), &tokens);
        prop_assert!(
            (error - expected).abs() <= tolerance::squared_change(&head, 1.0),
            "{error} {expected}"
        );
        Ok(())
    });
}

#[test]
fn c04_compensation_never_leaves_more_error() {
    for_all((strategies::moderate_head(), any::<u16>()), |(head, members)| {
        let tokens = tokens(&head, members);
        let surgeon = obs::compensate(&head, &attend(&head), &tokens, QueryWindow::All).unwrap();
        let removal = oracle::error(&oracle::set_removal(&head, &tokens), QueryWindow::All);
        let slack = tolerance::squared_change(&head, 1.0);
        prop_assert!((surgeon.error_without - removal).abs() <= slack);
        prop_assert!(surgeon.error_with <= surgeon.error_without + slack);
        Ok(())
    });
}

#[test]
fn c04_the_error_left_is_that_of_the_updated_cache_and_no_other_update_leaves_less() {
    let inputs = (
        strategies::moderate_head().prop_flat_map(|head| {
            let other = strategies::matrix(head.kv_len(), head.value_dim());
            (Just(head), other)
        }),
        any::<u16>(),
    );
    for_all(inputs, |((head, other), members)| {
        let tokens = tokens(&head, members);
        let trace = attend(&head);
        let surgeon = obs::compensate(&head, &trace, &tokens, QueryWindow::All).unwrap();
        let updated = |update: Array2<f64>| {
            let mut updated = head.clone().without(&tokens);
            for (j, value) in (head.value() + update).rows().into_iter().enumerate() {
                updated = updated.replace_value(j, value.to_owned(), |x| *x).unwrap();
            }
            updated
        };
        let error = |head: &Head| objective(&trace.output, &attend(head).output, QueryWindow::All);
        let best = updated(surgeon.value_update.clone());
        let slack = tolerance::squared_change(&best, 1.0) + tolerance::squared_change(&head, 1.0);
        prop_assert!((error(&best) - surgeon.error_with).abs() <= slack);
        for step in [1.0, 1e-3] {
            prop_assert!(surgeon.error_with <= error(&updated(&surgeon.value_update + &(&other * step))) + slack);
        }
        Ok(())
    });
}

#[test]
fn c04_the_diagonal_ignores_what_cancels() {
    // Weights 1/3, values 3, 0 and -3, output 0: G_00 = G_22 = 1, G_02 = -1. The pair {0, 2} has error 0, the diagonal says 2.
    let head = thirds();
    let gram = gram(&head, &attend(&head), QueryWindow::All);
    let slack = tolerance::squared_change(&head, 1.0);
    assert!((gram[[0, 0]] + gram[[2, 2]] - 2.0).abs() <= slack);
    assert!(first_order_set_error(&gram, &[0, 2]).abs() <= slack);
}

#[test]
fn c04_one_query_is_made_up_for_in_full() {
    // Weight 1/2 each, values 0 and 2: without the second the output falls from 1 to 0; raising the first to 1 restores it.
    let head = halves();
    let surgeon = obs::compensate(&head, &attend(&head), &[1], QueryWindow::All).unwrap();
    assert!((surgeon.error_without - 1.0).abs() <= tolerance::squared_change(&head, 1.0));
    assert!(surgeon.error_with <= tolerance::squared_change(&head, 1.0));
}
