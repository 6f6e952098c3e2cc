//! Decoding accumulates what one prefill gives, for one head and for a group, by traces and by strips (C18).

use ndarray::{Array1, Array2, Axis, array, s};
use obcache_scores::serve::{Policy, Tracker};
use obcache_scores::{PolicyError, Score, accumulate};
use obd_core::{GroupReduction, Head, QueryWindow};
use proptest::prelude::*;
use reference_attention::attend;
use strip_engine::{Cache, Column, Decoder, Engine, Problem};
use verify::law::{for_all, for_cases};
use verify::strategies::matrix;
use verify::tolerance;

use crate::heads::causal;

/// Accumulates `score` and keeps six tokens, which is all there are.
fn keeping_six(score: Score, prefill_window: QueryWindow) -> Policy {
    Policy {
        score: Some(score),
        prefill_window,
        ..Policy::unscored(6)
    }
}

#[test]
fn c18_decoding_accumulates_what_one_prefill_does() {
    let inputs = (matrix(6, 3), matrix(6, 3), matrix(6, 2), 1..6_usize);
    for_all(inputs, |(query, key, value, prompt)| {
        let part = |from: usize, to: usize| {
            let rows = |rows: &Array2<f64>, from: usize| rows.slice(s![from..to, ..]).to_owned();
            Head::new(rows(&query, from), rows(&key, 0), rows(&value, 0)).unwrap()
        };
        let whole = part(0, 6);
        for score in Score::ALL {
            let mut tracker = Tracker::new(keeping_six(score, QueryWindow::All));
            let head = part(0, prompt);
            tracker.prefill(&[(head.clone(), attend(&head))]).unwrap();
            for token in prompt..6 {
                let head = part(token, token + 1);
                tracker.step(&[(head.clone(), attend(&head))]).unwrap();
            }
            let [mut by_strips, mut by_heads] = [(); 2].map(|()| Tracker::new(tracker.policy().clone()));
            let mut cache = Cache::new(3, 2).unwrap();
            let mut decoder = Decoder::new();
            for token in 0..6 {
                cache.push(key.row(token), value.row(token)).unwrap();
                let query = query.slice(s![token..token + 1, ..]);
                let step = decoder.step(&cache, query).unwrap();
                // A score without a column is computed from the problem that the step hands out.
                let head = step.head(0).unwrap();
                by_heads.step(&[(head.clone(), attend(&head))]).unwrap();
                if let Some(column) = Column::of_score(score) {
                    let add = |head, _, sums: &mut _| step.add_to(head, column, sums);
                    by_strips.take_step(step.kv_len(), add).unwrap();
                }
            }
            prop_assert_eq!(by_heads.positions(), tracker.positions());
            prop_assert!(Column::of_score(score).is_none() || by_strips.positions() == tracker.positions());
            let expected = accumulate(&score.contributions(&whole, &attend(&whole)), QueryWindow::All);
            let largest = expected.fold(0.0, |largest: f64, x| largest.max(*x));
            for (saliency, expected) in by_strips.saliencies()[0].iter().zip(&expected) {
                // The engine's own error has its own claim (C20).
                prop_assert!((saliency - expected).abs() <= 1e-9 * largest, "{score} by strips");
            }
            // The same contributions, bit for bit, but for masked tokens' zeros and the order of the sum.
            let by_traces = tracker.saliencies()[0].iter().chain(&by_heads.saliencies()[0]);
            for (saliency, expected) in by_traces.zip(expected.iter().chain(&expected)) {
                prop_assert!(
                    (saliency - expected).abs() <= tolerance::gamma(12) * expected,
                    "{score}"
                );
            }
        }
        Ok(())
    });
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
    tracker.prefill(&[(prompt.clone(), attend(&prompt))]).unwrap();
    tracker.step(&[(step.clone(), attend(&step))]).unwrap();
    assert_eq!(tracker.saliencies(), [array![1.5, 0.5]]);
}

#[test]
fn c18_chunks_and_steps_of_a_group_add_up_to_the_batch() {
    let inputs = (matrix(12, 3), matrix(6, 3), matrix(6, 2), 1..4_usize, 0..5_usize);
    for_cases(48, inputs, |(queries, key, value, first, window)| {
        // Two query heads; a prompt of four tokens in two chunks, then two steps.
        let rows = |head: usize| queries.slice(s![6 * head..6 * head + 6, ..]).to_owned();
        let part = |head: usize, from: usize, to: usize| {
            let cut = |rows: &Array2<f64>, from: usize| rows.slice(s![from..to, ..]).to_owned();
            let head = causal(&cut(&rows(head), from), &cut(&key, 0), &cut(&value, 0));
            let trace = attend(&head);
            (head, trace)
        };
        let group = |from: usize, to: usize| [part(0, from, to), part(1, from, to)];
        let prefill_window = if window == 0 {
            QueryWindow::All
        } else {
            QueryWindow::Last(window)
        };
        for score in Score::ALL {
            let policy = Policy {
                every: 2,
                ..keeping_six(score, prefill_window)
            };
            let mut tracker = Tracker::group(policy, 2).unwrap();
            tracker.prefill_chunk(&group(0, first), 4 - first).unwrap();
            tracker.prefill_chunk(&group(first, 4), 0).unwrap();
            tracker.step(&group(4, 5)).unwrap();
            prop_assert!(!tracker.due());
            tracker.step(&group(5, 6)).unwrap();
            prop_assert!(tracker.due());
            prop_assert_eq!(tracker.bytes(), (1 + 2) * 6 * 8);
            for (head, tracked) in tracker.saliencies().iter().enumerate() {
                let (whole, trace) = part(head, 0, 6);
                let contributions = score.contributions(&whole, &trace);
                let counted = prefill_window.queries(4).chain(4..6);
                let batch: Array1<f64> = counted
                    .map(|query| contributions.row(query).to_owned())
                    .fold(Array1::zeros(6), |sum, row| sum + row);
                for (tracked, batch) in tracked.iter().zip(&batch) {
                    prop_assert!((tracked - batch).abs() <= tolerance::gamma(12) * batch, "{score}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn c18_after_evictions_a_group_holds_what_its_own_caches_gave() {
    let inputs = (matrix(20, 3), matrix(10, 3), matrix(10, 2), 1..4_usize, 1..3_usize);
    for_cases(48, inputs, |(queries, key, value, every, page)| {
        // Recomputed from scratch: at each step the cache that is left is attended to, and its contributions are added by hand.
        let policy = Policy {
            reduction: GroupReduction::Mean,
            sinks: 1,
            page,
            every,
            ..Policy::published("obcVK_fullhist", 2, 2).unwrap()
        };
        let score = policy.score.unwrap();
        let mut tracker = Tracker::group(policy, 2).unwrap();
        let mut held: Vec<(usize, [f64; 2])> = Vec::new();
        for token in 0..10 {
            let cached: Vec<usize> = held.iter().map(|(position, _)| *position).chain([token]).collect();
            let part = |head: usize| {
                let query = queries
                    .slice(s![10 * head + token..10 * head + token + 1, ..])
                    .to_owned();
                let head = Head::new(query, key.select(Axis(0), &cached), value.select(Axis(0), &cached)).unwrap();
                let trace = attend(&head);
                (head, trace)
            };
            let group = [part(0), part(1)];
            held.push((token, [0.0; 2]));
            for (place, (head, trace)) in group.iter().enumerate() {
                let contributions = score.contributions(head, trace);
                for (slot, (_, sums)) in held.iter_mut().enumerate() {
                    sums[place] += contributions[[0, slot]];
                }
            }
            tracker.step(&group).unwrap();
            if tracker.due() {
                let slots = tracker.choice();
                // Pages of two may protect more than the budget of five.
                let Ok(slots) = slots else { return Ok(()) };
                prop_assert!(slots.len() <= 5 && slots.contains(&0));
                prop_assert!(held.len() < 2 || slots.contains(&(held.len() - 1)));
                tracker.keep(&slots).unwrap();
                held = slots.iter().map(|&slot| held[slot]).collect();
            }
            let positions: Vec<usize> = held.iter().map(|(position, _)| *position).collect();
            prop_assert_eq!(tracker.positions(), &positions[..]);
            for (place, tracked) in tracker.saliencies().iter().enumerate() {
                let sums: Array1<f64> = held.iter().map(|(_, sums)| sums[place]).collect();
                prop_assert_eq!(tracked, &sums);
            }
        }
        Ok(())
    });
}

/// Two queries over three tokens: weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
fn two_queries() -> Head {
    let value = array![[4.0, 0.0], [0.0, 4.0], [2.0, 2.0]];
    Head::new(array![[0.0], [1.0]], array![[0.0], [0.0], [2f64.ln()]], value).unwrap()
}

/// One query of equal weights over `tokens` tokens.
fn even(tokens: usize) -> Head {
    Head::new(array![[0.0]], Array2::zeros((tokens, 1)), Array2::ones((tokens, 1))).unwrap()
}

#[test]
fn strips_are_taken_in_as_traces_are() {
    let head = two_queries();
    for variant in ["h2o_fullhist", "obcVK_fullhist", "tova"] {
        let policy = Policy::published(variant, 2, 1).unwrap();
        let mut by_traces = Tracker::new(policy.clone());
        by_traces.prefill(&[(head.clone(), attend(&head))]).unwrap();
        let problem = Problem::try_from(&head).unwrap().with_queries(policy.prefill_window);
        let mut by_strips = Tracker::new(policy);
        let summed = Engine::new().run(&problem);
        by_strips
            .take_prefill(3, |head, score, sums| *sums += summed[head].score(score).unwrap())
            .unwrap();
        approx::assert_relative_eq!(by_strips.saliencies(), by_traces.saliencies(), max_relative = 1e-14);
        for tokens in [4, 5] {
            let head = Head::new(array![[1.0]], Array2::ones((tokens, 1)), Array2::ones((tokens, 1))).unwrap();
            by_traces.step(&[(head.clone(), attend(&head))]).unwrap();
            let cache = Cache::of(head.key().view(), head.value().view()).unwrap();
            let mut decoder = Decoder::new();
            let step = decoder.step(&cache, head.query().view()).unwrap();
            by_strips
                .take_step(step.kv_len(), |head, score, sums| {
                    step.add_to(head, Column::of_score(score).unwrap(), sums)
                })
                .unwrap();
            approx::assert_relative_eq!(by_strips.saliencies(), by_traces.saliencies(), max_relative = 1e-14);
            assert_eq!(by_strips.positions(), by_traces.positions());
        }
    }
}

#[test]
fn strips_over_another_cache_are_refused() {
    let head = even(2);
    let saliencies = Engine::new().run(&Problem::try_from(&head).unwrap());
    let mut tracker = Tracker::new(Policy::published("h2o", 1, 1).unwrap());
    tracker
        .take_prefill(2, |head, _, sums| *sums += saliencies[head].column(Column::Weight))
        .unwrap();
    let refused = Err(PolicyError::TraceLength { found: 2, expected: 4 });
    assert_eq!(
        tracker.take_prefill(2, |_, _, _| unreachable!("a refused prefill adds nothing")),
        refused
    );
    let refused = Err(PolicyError::TraceLength { found: 2, expected: 3 });
    assert_eq!(
        tracker.take_step(2, |_, _, _| unreachable!("a refused step adds nothing")),
        refused
    );
    assert_eq!(tracker.positions(), [0, 1]);
}
