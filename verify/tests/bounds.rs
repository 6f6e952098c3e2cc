//! The explicit constants of the derivations: phi's bounds (C10), the Taylor remainder's (C16), and where first order
//! has no answer at all (C4).

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use obcache_scores::phi::phi;
use obd_core::{Direction, Head, QueryWindow, gram::gram, jacobian};
use proptest::prelude::*;
use reference_attention::attend;
use verify::{strategies, tolerance};

/// phi takes fewer than 16 roundings; both sides of a comparison do.
fn slack(size: f64) -> f64 {
    size * tolerance::gamma(32)
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

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c10_phi_of_a_negative_logit_is_phi_of_the_other_weight(a in 0.01..0.99f64, z in 0.01..30.0f64) {
        let (left, right) = (phi(a, -z), phi(1.0 - a, z));
        prop_assert!((left - right).abs() <= slack(right) / (1.0 - a).min(a));
    }

    #[test]
    fn c10_phi_lies_between_its_bounds_for_every_weight(a in 0.01..0.99f64, z in (-7.0..3.4f64).prop_map(f64::exp)) {
        // The bounds close in on phi as z nears 0: small logits are drawn as often as large ones.
        for phi in [phi(a, z), phi(a, -z)] {
            prop_assert!(phi >= -(-z).exp_m1() / z * (1.0 - slack(1.0)));
            prop_assert!(phi <= z.exp_m1() / z * (1.0 + slack(1.0)));
            prop_assert!(phi <= (1.0 + slack(1.0)) / (4.0 * a * (1.0 - a)));
        }
    }

    #[test]
    fn c10_phi_falls_over_positive_logits_up_to_weight_one_half(a in 0.0..0.5f64, z in 0.0..30.0f64, step in 0.01..1.0f64) {
        prop_assert!(phi(a, z + step) < phi(a, z));
    }

    #[test]
    fn c16_remainder_stays_below_the_derived_constant(
        tensors in [1, 5, 5].map(|rows| strategies::matrix(rows, 3)),
        (key, value) in (strategies::matrix(5, 3), strategies::matrix(5, 3)),
        sink in proptest::option::of(-3.0..3.0f64),
        t in (-14.0..0.0f64).prop_map(f64::exp),
    ) {
        let [query, keys, values] = tensors;
        let with_sink = |head: Head| sink.map_or(head.clone(), |sink| head.with_sink(sink).unwrap());
        let head = with_sink(Head::new(query, keys, values).unwrap());
        let after = Head::new(head.query().clone(), head.key() + &(&key * t), head.value() + &(&value * t)).unwrap();
        let after = with_sink(after);
        let direction = Direction { key, value };
        // A sink is a token of value 0 that never changes.
        let with_zero = |rows: &Array2<f64>| match sink {
            Some(_) => concatenate![Axis(0), rows.view(), Array2::zeros((1, rows.ncols()))],
            None => rows.clone(),
        };
        let slopes = head.query().dot(&with_zero(&direction.key).t()) * head.scale();
        let r = range(slopes.row(0));
        let (d, d_change) = (diameter(with_zero(head.value()).view()), diameter(with_zero(&direction.value).view()));
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
    }

    #[test]
    fn c04_first_order_sees_no_loss_in_losing_everything(head in strategies::plain_head()) {
        let gram = gram(&head, &attend(&head), QueryWindow::All);
        // A row of G is sum_i p_j·(sum_l p_l); the inner sum is 0 up to the error of the output and its kv_len + 1 terms,
        // |p_j| at most two values.
        let terms = (head.query_len() * head.value_dim()) as f64;
        let largest = tolerance::largest_value(&head);
        let zero = tolerance::change(&head) + 2.0 * largest * tolerance::gamma(2 * head.kv_len() + 8);
        for sum in gram.sum_axis(Axis(1)) {
            prop_assert!(sum.abs() <= terms * 4.0 * largest * zero * head.kv_len() as f64);
        }
    }
}

#[test]
fn c10_phi_falls_back_to_nothing_as_the_logit_falls() {
    // |z| phi → 1/a: at z = -100, a = 1/2, 100 · phi = 2 up to e^-100.
    assert!((100.0 * phi(0.5, -100.0) - 2.0).abs() <= slack(2.0));
    assert!(phi(0.001, -10.0) > phi(0.001, -100.0));
}
