//! Every head that is accepted is computed to the end: nothing overflows, however large its numbers (C19).

use ndarray::{Array2, ArrayView, Dimension, array};
use obcache_scores::exact::{phi, set};
use obcache_scores::select::sets::greedy;
use obcache_scores::{Score, exact};
use obd_core::{Direction, Head, LIMIT, Perturbation, QueryWindow, gram, jacobian, obs};
use proptest::prelude::*;
use reference_attention::{HighPrecision, Scalar, attend, oracle};
use verify::law::for_all;
use verify::strategies;

/// A head whose largest logit and whose largest value are the given sizes.
fn sized(logit: f64, value: f64) -> impl Strategy<Value = Head> {
    strategies::plain_head().prop_filter_map("a logit and a value above 0", move |head| {
        let to = |tensor: &Array2<f64>, size: f64| {
            let largest = tensor.iter().fold(0.0f64, |largest, x| x.abs().max(largest));
            (largest > 0.0).then(|| tensor * (size / largest))
        };
        let root = logit.sqrt() / (head.head_dim() as f64).sqrt();
        let (query, key) = (to(head.query(), root)?, to(head.key(), root)?);
        Head::new(query, key, to(head.value(), value)?)
            .ok()?
            .with_visibility(head.visibility().clone())
            .ok()
    })
}

/// Sizes up to the limit, logits and values apart; a hair below, for the products round.
fn large_head() -> impl Strategy<Value = Head> {
    let top = LIMIT * (1.0 - 1e-12);
    prop_oneof![sized(top, top), sized(top, 1.0), sized(1.0, top), sized(1e9, 1e30)]
}

fn finite<D: Dimension>(numbers: ArrayView<f64, D>) -> bool {
    numbers.iter().all(|x| x.is_finite())
}

#[test]
fn c19_every_accepted_head_is_scored_without_overflow() {
    for_all(large_head(), |head| {
        let trace = attend(&head);
        prop_assert!(finite(trace.logits.view()) && finite(trace.weights.view()) && finite(trace.output.view()));
        for score in Score::ALL {
            let contributions = score.contributions(&head, &trace);
            prop_assert!(finite(contributions.view()), "{score}: {contributions}");
            prop_assert!(contributions.sum().is_finite(), "{score}");
        }
        for what in Perturbation::ALL {
            let closed = exact::contributions(what, &head, &trace);
            let brute = oracle::token_errors(&head, what, QueryWindow::All);
            prop_assert!(
                finite(closed.view()) && finite(brute.view()),
                "{}: {closed} {brute}",
                what.name()
            );
        }
        let gone: Vec<usize> = (0..head.kv_len() / 2).collect();
        prop_assert!(set::removal_error(&head, &trace, &gone, QueryWindow::All).is_finite());
        prop_assert_eq!(greedy::order(&head, &trace, QueryWindow::All).len(), head.kv_len());
        for (token, phi) in phi::bounds(&head, &trace, QueryWindow::All)
            .rows()
            .into_iter()
            .enumerate()
        {
            let seen = (0..head.query_len()).any(|i| head.visibility().visible(i, token));
            prop_assert!(!seen || phi.iter().all(|phi| !phi.is_nan()), "{phi}");
        }
        let deletion = Direction {
            key: -head.key(),
            value: -head.value(),
        };
        prop_assert!(finite(jacobian::apply(&head, &trace, &deletion).view()));
        prop_assert!(finite(gram::gram(&head, &trace, QueryWindow::All).view()));
        let compensation = obs::compensate(&head, &trace, &gone, QueryWindow::All).unwrap();
        prop_assert!(compensation.error_with.is_finite() && compensation.error_without.is_finite());
        Ok(())
    });
}

#[test]
fn c19_high_precision_attends_to_every_accepted_head() {
    for_all(large_head(), |head| {
        let lifted = attend(&head.lift(|&x| HighPrecision::from_f64(x)));
        let plain = attend(&head);
        prop_assert!(finite(lifted.output.map(Scalar::to_f64).view()));
        prop_assert!(finite(plain.output.view()));
        Ok(())
    });
}

#[test]
fn c19_one_step_beyond_the_limit_is_refused() {
    let head = |logit: f64, value: f64| Head::new(array![[logit]], array![[1.0]], array![[value]]);
    assert!(head(LIMIT, LIMIT).is_ok());
    assert!(head(1.01 * LIMIT, 1.0).is_err());
    assert!(head(1.0, 1.01 * LIMIT).is_err());
}
