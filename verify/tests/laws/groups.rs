//! Heads that share a cache: their summed errors (C8), and how they interfere behind the output projection (C17).

use ndarray::{Array1, Array2, Array3, array};
use obcache_scores::exact::projection;
use obcache_scores::{Score, accumulate, exact};
use obd_core::{GroupReduction, Head, Perturbation, QueryWindow, grouped_heads};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{halves, sums};

/// Query heads of one KV head: the given head, and others with the given queries over the same keys and values.
fn group() -> impl Strategy<Value = Vec<Head>> {
    (strategies::plain_head(), 0..3_usize).prop_flat_map(|(head, peers)| {
        let queries = proptest::collection::vec(strategies::matrix(head.query_len(), head.head_dim()), peers);
        queries.prop_map(move |queries| {
            let peers = queries.into_iter().map(|query| {
                let peer = Head::new(query, head.key().clone(), head.value().clone()).unwrap();
                peer.with_visibility(head.visibility().clone()).unwrap()
            });
            std::iter::once(head.clone()).chain(peers).collect()
        })
    })
}

#[test]
fn c08_group_sum_is_the_error_of_all_query_heads() {
    for_all(group(), |heads| {
        for what in Perturbation::ALL {
            let closed: Vec<Array1<f64>> = heads
                .iter()
                .map(|head| accumulate(&exact::contributions(what, head, &attend(head)), QueryWindow::All))
                .collect();
            let sum = GroupReduction::Sum.reduce(&closed).unwrap();
            let slack: f64 = heads.iter().map(|head| tolerance::squared_change(head, 1.0)).sum();
            for (token, sum) in sum.iter().enumerate() {
                let truth: f64 = heads
                    .iter()
                    .map(|head| oracle::error(&oracle::perturbation(head, what, token), QueryWindow::All))
                    .sum();
                prop_assert!((sum - truth).abs() <= slack);
            }
        }
        Ok(())
    });
}

#[test]
fn c08_query_heads_read_the_kv_head_of_their_group() {
    // Multi-head, grouped and multi-query: 4 query heads over 4, 2 and 1 KV heads of one token, whose value is the output.
    for (kv_heads, read) in [(4, [0.0, 1.0, 2.0, 3.0]), (2, [0.0, 0.0, 1.0, 1.0]), (1, [0.0; 4])] {
        let numbered = |heads: usize| Array3::from_shape_fn((heads, 1, 1), |(head, _, _)| head as f64);
        let heads = grouped_heads(&numbered(4), &numbered(kv_heads), &numbered(kv_heads)).unwrap();
        let outputs: Vec<f64> = heads.iter().map(|head| attend(head).output[[0, 0]]).collect();
        assert_eq!(outputs, read);
        for head in &heads {
            let closed = exact::perturbation(Perturbation::Removal, head, &attend(head), 0);
            assert_eq!(closed, oracle::removal(head, 0));
        }
    }
}

/// A group with a random output projection of 1 to 6 channels.
fn projected_group() -> impl Strategy<Value = (Vec<Head>, Vec<Array2<f64>>)> {
    (group(), 1..=6_usize).prop_flat_map(|(heads, hidden)| {
        let projection = strategies::matrix(hidden, heads[0].value_dim());
        let projections = proptest::collection::vec(projection, heads.len());
        (Just(heads), projections)
    })
}

/// How far two ways to a projected error, summed over queries and channels, may lie apart.
///
/// A channel of the layer's change is at most x = Σ_h Σ_c |w| 2 max|v| and off by e: each head's change by its own error,
/// and the products and sums over `terms` = heads · value_dim by γ_(terms + 2) x. Then `(x + e)² - x²`, and the quadratic form
/// through WᵀW rounds once more by 2 γ of its own length times x².
fn projected_slack(heads: &[Head], projections: &[Array2<f64>]) -> f64 {
    let terms = heads.len() * heads[0].value_dim();
    let rounding = tolerance::gamma(terms + projections[0].nrows() + 4);
    let channel = |channel: usize| {
        let weight = |projection: &Array2<f64>| projection.row(channel).iter().map(|w| w.abs()).sum::<f64>();
        let (mut size, mut error) = (0.0, 0.0);
        for (head, projection) in heads.iter().zip(projections) {
            size += weight(projection) * 2.0 * tolerance::largest_value(head);
            error += weight(projection) * tolerance::change(head);
        }
        let error = error + rounding * size;
        2.0 * size * error + error * error + 2.0 * rounding * size * size
    };
    heads[0].query_len() as f64 * (0..projections[0].nrows()).map(channel).sum::<f64>()
}

/// Change of the layer's output y = sum_h W_h o^h, by running it with and without the token.
fn change_of_the_layer(heads: &[Head], projections: &[Array2<f64>], token: usize) -> Array2<f64> {
    let layer = |hidden: &[usize]| {
        let outputs = heads.iter().map(|head| attend(&head.clone().without(hidden)).output);
        let projected = outputs
            .zip(projections)
            .map(|(output, projection)| output.dot(&projection.t()));
        projected.reduce(|sum, output| sum + output).unwrap()
    };
    layer(&[token]) - layer(&[])
}

#[test]
fn c17_projected_error_is_that_of_the_layer_output() {
    for_all(projected_group(), |(heads, projections)| {
        let attended: Vec<_> = heads.iter().map(|head| (head.clone(), attend(head))).collect();
        let closed = projection::removal(&attended, &projections).unwrap();
        for token in 0..heads[0].kv_len() {
            let truth: f64 = oracle::error(&change_of_the_layer(&heads, &projections, token), QueryWindow::All);
            let closed: f64 = closed.together.column(token).sum();
            prop_assert!(
                (closed - truth).abs() <= projected_slack(&heads, &projections),
                "{closed} {truth}"
            );
        }
        Ok(())
    });
}

#[test]
fn c17_projected_error_is_the_sum_over_heads_and_the_cross_terms() {
    for_all(projected_group(), |(heads, projections)| {
        let attended: Vec<_> = heads.iter().map(|head| (head.clone(), attend(head))).collect();
        let closed = projection::removal(&attended, &projections).unwrap();
        let slack = projected_slack(&heads, &projections);
        for token in 0..heads[0].kv_len() {
            let images: Vec<Array2<f64>> = attended
                .iter()
                .zip(&projections)
                .map(|((head, trace), projection)| {
                    exact::perturbation(Perturbation::Removal, head, trace, token).dot(&projection.t())
                })
                .collect();
            let mut cross = 0.0;
            for (h, one) in images.iter().enumerate() {
                cross += images
                    .iter()
                    .enumerate()
                    .filter(|(g, _)| *g != h)
                    .map(|(_, two)| (one * two).sum())
                    .sum::<f64>();
            }
            let (together, apart): (f64, f64) = (closed.together.column(token).sum(), closed.apart.column(token).sum());
            prop_assert!(
                (together - apart - cross).abs() <= 2.0 * slack,
                "{together} {apart} {cross}"
            );
            prop_assert!(together >= 0.0 && together <= heads.len() as f64 * apart + slack);
        }
        Ok(())
    });
}

#[test]
fn c17_equal_heads_reach_the_upper_bound_and_opposite_ones_the_lower() {
    for_all(projected_group(), |(heads, projections)| {
        let head = (heads[0].clone(), attend(&heads[0]));
        let twins = [head.clone(), head];
        // Two heads double a channel's change and its error, which is squared; two such numbers are compared.
        let slack = 8.0 * projected_slack(&heads[..1], &projections[..1]);
        let error = |second: Array2<f64>, token: usize| -> (f64, f64) {
            let closed = projection::removal(&twins, &[projections[0].clone(), second]).unwrap();
            (closed.together.column(token).sum(), closed.apart.column(token).sum())
        };
        for token in 0..heads[0].kv_len() {
            let (together, apart) = error(projections[0].clone(), token);
            prop_assert!((together - 2.0 * apart).abs() <= slack, "{together} {apart}");
            let (together, _) = error(-&projections[0], token);
            prop_assert!(together <= slack, "{together}");
        }
        Ok(())
    });
}

#[test]
fn c17_a_group_sum_drops_the_cross_terms() {
    // Both heads have weights 1/2 on values 0 and 2: removing the second changes each output by -1. Behind W_O = (1, -1)
    // the changes cancel, behind (1, 1) they make 4, and the group sum says 2 for both.
    let head = halves();
    let heads = [head.clone(), head];
    let scores = heads.each_ref().map(|head| sums(Score::Removal, head));
    assert_eq!(GroupReduction::Sum.reduce(&scores).unwrap()[1], 2.0);
    for (second, truth) in [(-1.0, 0.0), (1.0, 4.0)] {
        let change = change_of_the_layer(&heads, &[array![[1.0]], array![[second]]], 1);
        assert_eq!(oracle::error(&change, QueryWindow::All), truth);
    }
}
