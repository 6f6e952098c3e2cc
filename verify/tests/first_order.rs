//! First and second derivatives: the theory against dual numbers through the reference attention (C1, C2, C3, C5, C16).

use ndarray::{Array1, Array2};
use num_dual::{Dual64, HyperDual64};
use obcache_scores::Score;
use obd_core::{Direction, Head, QueryWindow, jacobian, objective};
use proptest::prelude::*;
use reference_attention::{Scalar, attend};
use verify::{strategies, tolerance};

/// The head with every key and value moved by `step` times its direction, in the numbers of `step`.
fn moved<S: Scalar>(head: &Head, steps: &[(S, &Direction)]) -> Head<S> {
    let mut moved = head.lift(|x| S::from_f64(*x));
    let shift = |from: &Array2<f64>, part: fn(&Direction) -> &Array2<f64>, j: usize| -> Array1<S> {
        Array1::from_shape_fn(from.ncols(), |c| {
            let start = S::from_f64(from[[j, c]]);
            steps.iter().fold(start, |sum, (step, direction)| {
                sum + step.clone() * S::from_f64(part(direction)[[j, c]])
            })
        })
    };
    for j in 0..head.kv_len() {
        let key = shift(head.key(), |direction| &direction.key, j);
        let value = shift(head.value(), |direction| &direction.value, j);
        moved = moved.replace_key(j, key, S::to_f64).unwrap();
        moved = moved.replace_value(j, value, S::to_f64).unwrap();
    }
    moved
}

fn with_directions(count: usize) -> impl Strategy<Value = (Head, Vec<Direction>)> {
    strategies::moderate_head().prop_flat_map(move |head| {
        let direction = (
            strategies::matrix(head.kv_len(), head.head_dim()),
            strategies::matrix(head.kv_len(), head.value_dim()),
        )
            .prop_map(|(key, value)| Direction { key, value });
        (Just(head), proptest::collection::vec(direction, count))
    })
}

/// 1 + the largest change of a logit along directions with elements below 2: a first-order change is at most 2 values
/// times it, or a change of value (at most 2, the bound of the values too) itself.
fn stretch(head: &Head) -> f64 {
    let widest = head
        .query()
        .rows()
        .into_iter()
        .map(|q| q.iter().map(|x| 2.0 * x.abs()).sum::<f64>());
    1.0 + head.scale() * widest.fold(0.0, f64::max)
}

/// The bound 2 of a generated value or change of value stands in for the values: they may all happen to be small.
fn change_tolerance(head: &Head) -> f64 {
    16.0 * (tolerance::weight(head) + tolerance::gamma(head.kv_len())) * stretch(head)
}

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c01_objective_and_its_gradient_are_zero_at_zero((head, directions) in with_directions(1)) {
        let origin = attend(&moved(&head, &[(Dual64::from_f64(0.0), &directions[0])])).output;
        let along = attend(&moved(&head, &[(Dual64::new(0.0, 1.0), &directions[0])])).output;
        let objective = (along - origin).iter().fold(Dual64::from_f64(0.0), |sum, x| sum + *x * *x);
        prop_assert_eq!((objective.re, objective.eps), (0.0, 0.0));
    }

    #[test]
    fn c01_objective_is_of_second_order_around_zero((head, directions) in with_directions(1)) {
        let start = attend(&head).output;
        prop_assert_eq!(objective(&start, &attend(&head).output, QueryWindow::All), 0.0);
        // With |v(t)| <= 2 + 2 t an output moves by at most 2 + 2 (2 + 2 t) |u̇| <= 5 stretch a unit of t, for t <= 1/8.
        for t in [0.1, 1e-5, 1e-10] {
            let end = attend(&moved(&head, &[(t, &directions[0])])).output;
            let change = 5.0 * stretch(&head) * t + 2.0 * change_tolerance(&head);
            let moved = objective(&start, &end, QueryWindow::All);
            prop_assert!(moved <= along_terms(&head) * change * change, "{moved:e} at {t}");
        }
    }

    #[test]
    fn c02_hessian_is_twice_the_jacobian_squared((head, directions) in with_directions(2)) {
        let trace = attend(&head);
        let steps = [(HyperDual64::new(0.0, 1.0, 0.0, 0.0), &directions[0]), (HyperDual64::new(0.0, 0.0, 1.0, 0.0), &directions[1])];
        let along = attend(&moved(&head, &steps)).output;
        let origin = attend(&head.lift(|x| HyperDual64::from_f64(*x))).output;
        let objective = (along - origin).iter().fold(HyperDual64::from_f64(0.0), |sum, x| sum + *x * *x);
        let one = jacobian::apply(&head, &trace, &directions[0]);
        let two = jacobian::apply(&head, &trace, &directions[1]);
        let expected = 2.0 * (one * two).sum();
        // Each factor is at most 4 stretch, off by the change tolerance: 2 (2 · 4 stretch · τ) a term.
        let slack = along_terms(&head) * 16.0 * stretch(&head) * change_tolerance(&head);
        prop_assert!((objective.eps1eps2 - expected).abs() <= slack, "{} {expected}", objective.eps1eps2);
    }

    #[test]
    fn c03_jacobian_is_the_derivative_by_dual_numbers((head, directions) in with_directions(1)) {
        let along = attend(&moved(&head, &[(Dual64::new(0.0, 1.0), &directions[0])])).output;
        let closed = jacobian::apply(&head, &attend(&head), &directions[0]);
        for (dual, closed) in along.iter().zip(&closed) {
            prop_assert!((dual.eps - closed).abs() <= change_tolerance(&head));
        }
    }

    #[test]
    fn c05_each_score_is_the_squared_jacobian_of_its_deletion(head in strategies::moderate_head()) {
        let trace = attend(&head);
        let slack = tolerance::squared_change(&head, 1.0 + tolerance::largest_input(&head));
        for (score, direction) in [
            (Score::Value, Direction::value_deletion as fn(&Head, usize) -> Direction),
            (Score::Key, Direction::key_deletion),
            (Score::Joint, Direction::joint_deletion),
        ] {
            let scores = obcache_scores::accumulate(&score.contributions(&head, &trace), QueryWindow::All);
            for (j, score) in scores.iter().enumerate() {
                let form = jacobian::quadratic_form(&head, &trace, &direction(&head, j), QueryWindow::All);
                prop_assert!((score - form).abs() <= slack, "{score} {form}");
            }
        }
    }

    #[test]
    fn c16_remainder_stays_below_its_constant_times_the_square((head, directions) in with_directions(1)) {
        // Along t, with u̇ the logit's slope, |u̇| <= D: ȧ = a (u̇ - mean u̇), so sum |ȧ| <= 2 D, and
        // ä = a [(u̇ - mean)² - var + ü - mean ü], so sum |ä| <= 8 D² + 2 sup|ü|; |ü| <= D² / c under soft-cap c, as
        // |d²/dz² c tanh(z/c)| = |2 tanh sech²| / c <= 1 / c. With ‖v(t)‖ <= 4 and ‖v̇‖ <= 2 (0 <= t <= 1):
        // |ö| <= 4 (8 D² + 2 D² / c) + 2 · 2 · 2 D, and the remainder is at most t² / 2 of it.
        let slope = stretch(&head) - 1.0;
        let bend = head.softcap().map_or(0.0, |softcap| slope * slope / softcap.cap());
        let constant = 4.0 * (8.0 * slope * slope + 2.0 * bend) + 8.0 * slope;
        let start = attend(&head);
        let first = jacobian::apply(&head, &start, &directions[0]);
        for t in [1.0, 1e-2, 1e-4, 1e-6] {
            let end = attend(&moved(&head, &[(t, &directions[0])])).output;
            for ((end, start), first) in end.iter().zip(&start.output).zip(&first) {
                prop_assert!((end - start - t * first).abs() <= constant * t * t / 2.0 + 2.0 * change_tolerance(&head));
            }
        }
    }
}

fn along_terms(head: &Head) -> f64 {
    (head.query_len() * head.value_dim()) as f64
}

#[test]
fn c16_remainder_has_slope_two() {
    // Two tokens of weight 1/2 and values 0 and 1; key and value of the second grow by t.
    let head = Head::new(
        ndarray::array![[1.0]],
        ndarray::array![[0.0], [0.0]],
        ndarray::array![[0.0], [1.0]],
    )
    .unwrap();
    let direction = Direction {
        key: ndarray::array![[0.0], [1.0]],
        value: ndarray::array![[0.0], [1.0]],
    };
    let first = jacobian::apply(&head, &attend(&head), &direction)[[0, 0]];
    let rest = |t: f64| attend(&moved(&head, &[(t, &direction)])).output[[0, 0]] - 0.5 - t * first;
    // By hand: o = (1 + t) / (1 + e^-t) = (1 + t)(1/2 + t/4 + O(t³)): first order 3/4 t, rest t²/4 + O(t³).
    assert!((first - 0.75).abs() < 1e-15);
    let slope = (rest(1e-2) / rest(1e-3)).log10();
    assert!((slope - 2.0).abs() < 1e-2, "{slope}");
}
