//! The objective, its Hessian and the Jacobian of attention, against dual numbers through the reference (C1, C2, C3).

use num_dual::{Dual64, HyperDual64};
use obd_core::{Head, QueryWindow, jacobian, objective};
use proptest::prelude::*;
use reference_attention::{Scalar, attend};
use verify::law::for_all;

use crate::directions::{change_tolerance, moved, stretch, with_directions};

#[test]
fn c01_objective_and_its_gradient_are_zero_at_zero() {
    for_all(with_directions(1), |(head, directions)| {
        let origin = attend(&moved(&head, &[(Dual64::from_f64(0.0), &directions[0])])).output;
        let along = attend(&moved(&head, &[(Dual64::new(0.0, 1.0), &directions[0])])).output;
        let objective = (along - origin)
            .iter()
            .fold(Dual64::from_f64(0.0), |sum, x| sum + *x * *x);
        prop_assert_eq!((objective.re, objective.eps), (0.0, 0.0));
        Ok(())
    });
}

#[test]
fn c01_objective_is_of_second_order_around_zero() {
    for_all(with_directions(1), |(head, directions)| {
        let start = attend(&head).output;
        prop_assert_eq!(objective(&start, &attend(&head).output, QueryWindow::All), 0.0);
        // With |v(t)| <= 2 + 2 t an output moves by at most 2 + 2 (2 + 2 t) |u̇| <= 5 stretch a unit of t, for t <= 1/8.
        for t in [0.1, 1e-5, 1e-10] {
            let end = attend(&moved(&head, &[(t, &directions[0])])).output;
            let change = 5.0 * stretch(&head) * t + 2.0 * change_tolerance(&head);
            let moved = objective(&start, &end, QueryWindow::All);
            prop_assert!(moved <= along_terms(&head) * change * change, "{moved:e} at {t}");
        }
        Ok(())
    });
}

#[test]
fn c02_hessian_is_twice_the_jacobian_squared() {
    for_all(with_directions(2), |(head, directions)| {
        let trace = attend(&head);
        let steps = [
            (HyperDual64::new(0.0, 1.0, 0.0, 0.0), &directions[0]),
            (HyperDual64::new(0.0, 0.0, 1.0, 0.0), &directions[1]),
        ];
        let along = attend(&moved(&head, &steps)).output;
        let origin = attend(&head.lift(|x| HyperDual64::from_f64(*x))).output;
        let objective = (along - origin)
            .iter()
            .fold(HyperDual64::from_f64(0.0), |sum, x| sum + *x * *x);
        let one = jacobian::apply(&head, &trace, &directions[0]);
        let two = jacobian::apply(&head, &trace, &directions[1]);
        let expected = 2.0 * (one * two).sum();
        // Each factor is at most 4 stretch, off by the change tolerance: 2 (2 · 4 stretch · τ) a term.
        let slack = along_terms(&head) * 16.0 * stretch(&head) * change_tolerance(&head);
        prop_assert!(
            (objective.eps1eps2 - expected).abs() <= slack,
            "{} {expected}",
            objective.eps1eps2
        );
        Ok(())
    });
}

#[test]
fn c03_jacobian_is_the_derivative_by_dual_numbers() {
    for_all(with_directions(1), |(head, directions)| {
        let along = attend(&moved(&head, &[(Dual64::new(0.0, 1.0), &directions[0])])).output;
        let closed = jacobian::apply(&head, &attend(&head), &directions[0]);
        for (dual, closed) in along.iter().zip(&closed) {
            prop_assert!((dual.eps - closed).abs() <= change_tolerance(&head));
        }
        Ok(())
    });
}

fn along_terms(head: &Head) -> f64 {
    (head.query_len() * head.value_dim()) as f64
}
