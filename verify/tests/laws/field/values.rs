//! Scores of weights and values: CAOTE (C25), CriticalKV (C30).

use ndarray::{Array1, array, s};
use obcache_scores::field::{caote, critical_kv, fast_caote};
use obcache_scores::{Score, accumulate};
use obd_core::{Head, Perturbation, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_cases;
use verify::strategies::matrix;
use verify::tolerance;

use super::{alone, close, square};
use crate::heads::sums;

#[test]
fn c25_caote_is_the_root_of_the_removal_error_of_one_query() {
    for_cases(48, square(), |head| {
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
        Ok(())
    });
}

#[test]
fn c25_fast_caote_is_caote_where_the_output_is_the_mean_value() {
    for_cases(48, square(), |head| {
        let group = alone(&head);
        let even = Array1::ones(head.kv_len());
        let (exact, fast) = (caote(&group, &even).unwrap(), fast_caote(&group, &even).unwrap());
        for (exact, fast) in exact.iter().zip(&fast) {
            prop_assert!(close(*exact, *fast, tolerance::largest_value(&head), 64));
        }
        Ok(())
    });
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
    let exact = sums(Score::Removal, &head)[0];
    assert!((exact - (0.81 + 0.01)).abs() <= tolerance::gamma(64), "{exact}");
}

#[test]
fn c30_critical_kv_weighs_what_zeroing_the_value_costs_behind_the_projection() {
    for_cases(48, (square(), matrix(5, 3)), |(head, projection)| {
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
        Ok(())
    });
}
