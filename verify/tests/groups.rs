//! Heads that share a cache, and queries that come one by one (claims C8, C17, C18).

use ndarray::{Array1, Array2, Array3, array, s};
use obcache_scores::{GroupReduction, Policy, Score, Tracker, accumulate, exact};
use obd_core::{Head, Perturbation, QueryWindow, grouped_heads};
use proptest::prelude::*;
use reference_attention::{attend, oracle};
use verify::{strategies, tolerance};

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

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c08_group_sum_is_the_error_of_all_query_heads(heads in group()) {
        for what in Perturbation::ALL {
            let closed: Vec<Array1<f64>> = heads.iter().map(|head| {
                accumulate(&exact::contributions(what, head, &attend(head)), QueryWindow::All)
            }).collect();
            let sum = GroupReduction::Sum.reduce(&closed).unwrap();
            let slack: f64 = heads.iter().map(|head| tolerance::squared_change(head, 1.0)).sum();
            for (token, sum) in sum.iter().enumerate() {
                let truth: f64 = heads.iter().map(|head| oracle::error(&oracle::perturbation(head, what, token), QueryWindow::All)).sum();
                prop_assert!((sum - truth).abs() <= slack);
            }
        }
    }

    #[test]
    fn c17_projected_error_is_the_group_sum_and_its_cross_terms(heads in group()) {
        // W_O = identity for every head: ‖sum_h c_h‖² = sum_h ‖c_h‖² + sum_{h ≠ g} c_h · c_g.
        let slack: f64 = heads.iter().map(|head| tolerance::squared_change(head, 1.0)).sum::<f64>() * heads.len() as f64;
        for token in 0..heads[0].kv_len() {
            let changes: Vec<Array2<f64>> =
                heads.iter().map(|head| exact::perturbation(Perturbation::Removal, head, &attend(head), token)).collect();
            let outputs = |hidden: &[usize]| -> Array2<f64> {
                let zeros = Array2::zeros(changes[0].dim());
                heads.iter().fold(zeros, |sum, head| sum + attend(&head.clone().without(hidden)).output)
            };
            let truth: f64 = oracle::error(&(outputs(&[token]) - outputs(&[])), QueryWindow::All);
            let mut expected: f64 = 0.0;
            for one in &changes {
                expected += changes.iter().map(|two| (one * two).sum()).sum::<f64>();
            }
            prop_assert!((truth - expected).abs() <= slack);
        }
    }

    #[test]
    fn c18_decoding_accumulates_what_one_prefill_does(query in strategies::matrix(6, 3), key in strategies::matrix(6, 3), value in strategies::matrix(6, 2), prompt in 1..6_usize) {
        let part = |from: usize, to: usize| {
            let rows = |rows: &Array2<f64>, from: usize| rows.slice(s![from..to, ..]).to_owned();
            Head::new(rows(&query, from), rows(&key, 0), rows(&value, 0)).unwrap()
        };
        let whole = part(0, 6);
        for score in Score::ALL {
            let policy = Policy {
                score,
                prefill_window: QueryWindow::All,
                accumulate: true,
                pooling: None,
                heavy: 6,
                recent: 0,
            };
            let mut tracker = Tracker::new(policy);
            let head = part(0, prompt);
            tracker.prefill(&head, &attend(&head)).unwrap();
            for token in prompt..6 {
                let head = part(token, token + 1);
                tracker.step(&head, &attend(&head)).unwrap();
            }
            let expected = accumulate(&score.contributions(&whole, &attend(&whole)), QueryWindow::All);
            // The same contributions, bit for bit, but for masked tokens' zeros and the order of the sum.
            for (saliency, expected) in tracker.saliency().iter().zip(&expected) {
                prop_assert!((saliency - expected).abs() <= tolerance::gamma(12) * expected, "{score}");
            }
        }
    }
}

#[test]
fn c17_a_group_sum_drops_the_cross_terms() {
    // Both heads have weights 1/2 on values 0 and 2: removing the second changes each output by -1. Behind W_O = (1, -1)
    // the changes cancel, behind (1, 1) they make 4, and the group sum says 2 for both.
    let head = Head::new(array![[1.0]], array![[0.0], [0.0]], array![[0.0], [2.0]]).unwrap();
    let change = oracle::removal(&head, 1)[[0, 0]];
    assert_eq!(
        (
            (change - change).powi(2),
            (change + change).powi(2),
            2.0 * change * change
        ),
        (0.0, 4.0, 2.0)
    );
}

#[test]
fn c18_prefill_and_decoding_by_hand() {
    // Equal keys: the first query gives weight 1, the second 1/2 and 1/2: 3/2 and 1/2 in all, in one go or step by step.
    let part = |queries: Array2<f64>, tokens: usize| {
        Head::new(queries, Array2::zeros((tokens, 1)), Array2::zeros((tokens, 1))).unwrap()
    };
    let whole = part(array![[1.0], [1.0]], 2);
    assert_eq!(accumulate(&attend(&whole).weights, QueryWindow::All), array![1.5, 0.5]);
    let mut tracker = Tracker::new(Policy::published("h2o_fullhist", 2, 0).unwrap());
    let (prompt, step) = (part(array![[1.0]], 1), part(array![[1.0]], 2));
    tracker.prefill(&prompt, &attend(&prompt)).unwrap();
    tracker.step(&step, &attend(&step)).unwrap();
    assert_eq!(tracker.saliency(), array![1.5, 0.5]);
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
