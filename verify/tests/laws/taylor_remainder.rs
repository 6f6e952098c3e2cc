//! What first order leaves out falls with the square of the step, and stays below explicit constants (C16).

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, array, concatenate};
use obd_core::{Direction, Head, jacobian};
use proptest::prelude::*;
use reference_attention::attend;
use verify::law::for_all;
use verify::strategies::matrix;
use verify::tolerance;

use crate::directions::{change_tolerance, moved, stretch, with_directions};

#[test]
fn c16_remainder_stays_below_its_constant_times_the_square() {
    for_all(with_directions(1), |(head, directions)| {
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
        Ok(())
    });
}

fn range(numbers: ArrayView1<f64>) -> f64 {
    numbers.fold(f64::NEG_INFINITY, |a, &b| a.max(b)) - numbers.fold(f64::INFINITY, |a, &b| a.min(b))
}

/// Largest distance between two rows.
fn diameter(rows: ArrayView2<f64>) -> f64 {
    let distance = |a: ArrayView1<f64>, b: ArrayView1<f64>| (&a - &b).mapv(|x| x * x).sum().sqrt();
    let distances = rows
        .rows()
        .into_iter()
        .flat_map(|a| rows.rows().into_iter().map(move |b| distance(a, b)));
    distances.fold(0.0, f64::max)
}

#[test]
fn c16_remainder_stays_below_the_derived_constant() {
    let inputs = (
        [1, 5, 5].map(|rows| matrix(rows, 3)),
        (matrix(5, 3), matrix(5, 3)),
        proptest::option::of(-3.0..3.0f64),
        (-14.0..0.0f64).prop_map(f64::exp),
    );
    for_all(inputs, |(tensors, (key, value), sink, t)| {
        let [query, keys, values] = tensors;
        let with_sink = |head: Head| sink.map_or(head.clone(), |sink| head.with_sink(sink).unwrap());
        let head = with_sink(Head::new(query, keys, values).unwrap());
        let after = Head::new(
            head.query().clone(),
            head.key() + &(&key * t),
            head.value() + &(&value * t),
        )
        .unwrap();
        let after = with_sink(after);
        let direction = Direction { key, value };
        // A sink is a token of value 0 that never changes.
        let with_zero = |rows: &Array2<f64>| match sink {
            Some(_) => concatenate![Axis(0), rows.view(), Array2::zeros((1, rows.ncols()))],
            None => rows.clone(),
        };
        let slopes = head.query().dot(&with_zero(&direction.key).t()) * head.scale();
        let r = range(slopes.row(0));
        let (d, d_change) = (
            diameter(with_zero(head.value()).view()),
            diameter(with_zero(&direction.value).view()),
        );
        let bound = t * t * (r * d_change / 4.0 + r * r * d / 8.0) + t.powi(3) * r * r * d_change / 24.0;
        let before = attend(&head);
        let first = jacobian::apply(&head, &before, &direction);
        let remainder: Array2<f64> = attend(&after).output - &before.output - &(first * t);
        let norm = remainder.mapv(|x| x * x).sum().sqrt();
        // The two outputs and the Jacobian, whose terms are 1 + r times a value or a change of one (at most 2), three
        // channels each.
        let error = tolerance::change(&head) + tolerance::change(&after);
        let rounding = 3.0 * (1.0 + r) * (error + 16.0 * tolerance::weight(&head) + tolerance::gamma(32));
        prop_assert!(norm <= bound + rounding, "{norm} above {bound}");
        Ok(())
    });
}

#[test]
fn c16_remainder_has_slope_two() {
    // Two tokens of weight 1/2 and values 0 and 1; key and value of the second grow by t.
    let head = Head::new(array![[1.0]], array![[0.0], [0.0]], array![[0.0], [1.0]]).unwrap();
    let direction = Direction {
        key: array![[0.0], [1.0]],
        value: array![[0.0], [1.0]],
    };
    let first = jacobian::apply(&head, &attend(&head), &direction)[[0, 0]];
    let rest = |t: f64| attend(&moved(&head, &[(t, &direction)])).output[[0, 0]] - 0.5 - t * first;
    // By hand: o = (1 + t) / (1 + e^-t) = (1 + t)(1/2 + t/4 + O(t³)): first order 3/4 t, rest t²/4 + O(t³).
    assert!((first - 0.75).abs() < 1e-15);
    let slope = (rest(1e-2) / rest(1e-3)).log10();
    assert!((slope - 2.0).abs() < 1e-2, "{slope}");
}
