//! The closed-form scores: second-order saliencies (C5), the joint score's cross term (C6), the heuristics' place (C7).

use ndarray::{Array2, array};
use obcache_scores::Score;
use obd_core::{Direction, Head, QueryWindow, jacobian};
use proptest::prelude::*;
use reference_attention::attend;
use verify::law::for_all;
use verify::{strategies, tolerance};

use crate::heads::{slack, sums};

#[test]
fn c05_each_score_is_the_squared_jacobian_of_its_deletion() {
    for_all(strategies::moderate_head(), |head| {
        let trace = attend(&head);
        let slack = tolerance::squared_change(&head, 1.0 + tolerance::largest_input(&head));
        for (score, direction) in [
            (Score::Value, Direction::value_deletion as fn(&Head, usize) -> Direction),
            (Score::Key, Direction::key_deletion),
            (Score::Joint, Direction::joint_deletion),
        ] {
            let scores = sums(score, &head);
            for (j, score) in scores.iter().enumerate() {
                let form = jacobian::quadratic_form(&head, &trace, &direction(&head, j), QueryWindow::All);
                prop_assert!((score - form).abs() <= slack, "{score} {form}");
            }
        }
        Ok(())
    });
}

#[test]
fn c06_joint_score_is_its_three_term_expansion() {
    for_all(strategies::plain_head(), |head| {
        let trace = attend(&head);
        let (value, key) = (sums(Score::Value, &head), sums(Score::Key, &head));
        for (j, joint) in sums(Score::Joint, &head).iter().enumerate() {
            let v = head.value().row(j);
            let mut cross = 0.0;
            for (i, output) in trace.output.rows().into_iter().enumerate() {
                let product: f64 = v.iter().zip(output).map(|(v, o)| v * v - o * v).sum();
                cross += 2.0 * trace.weights[[i, j]].powi(2) * trace.logits[[i, j]] * product;
            }
            prop_assert!((joint - (value[j] + key[j] + cross)).abs() <= slack(&head));
        }
        Ok(())
    });
}

#[test]
fn c06_joint_score_lies_between_its_bounds() {
    for_all(strategies::moderate_head(), |head| {
        let (value, key) = (sums(Score::Value, &head), sums(Score::Key, &head));
        for (j, joint) in sums(Score::Joint, &head).into_iter().enumerate() {
            prop_assert!(joint <= 2.0 * (value[j] + key[j]) + slack(&head));
            prop_assert!(joint >= (value[j].sqrt() - key[j].sqrt()).powi(2) - slack(&head));
        }
        Ok(())
    });
}

#[test]
fn c07_one_norm_score_is_the_summed_weight_times_the_norm() {
    for_all(strategies::head(), |head| {
        let trace = attend(&head);
        for (j, score) in sums(Score::ValueOneNorm, &head).into_iter().enumerate() {
            let expected = trace.weights.column(j).sum() * head.value().row(j).mapv(f64::abs).sum();
            prop_assert!(
                (score - expected).abs() <= tolerance::gamma(head.query_len() + head.value_dim() + 2) * 2.0 * expected
            );
        }
        Ok(())
    });
}

#[test]
fn c07_weight_is_the_one_norm_score_of_values_of_norm_one() {
    for_all(strategies::head(), |head| {
        let share = 1.0 / head.value_dim() as f64;
        let unit = Head::new(
            head.query().clone(),
            head.key().clone(),
            Array2::from_elem(head.value().dim(), share),
        )
        .unwrap();
        let trace = attend(&head);
        let one_norm = Score::ValueOneNorm.contributions(&unit, &trace);
        for (weight, one_norm) in Score::Weight.contributions(&head, &trace).iter().zip(&one_norm) {
            prop_assert!((weight - one_norm).abs() <= tolerance::gamma(head.value_dim() + 2) * weight);
        }
        Ok(())
    });
}

#[test]
fn c06_cross_term_by_hand() {
    // Weights 1/2, logits 3, values 0 and 2, output 1: S_V = 1, S_K = 9/4, cross 2 · 1/4 · 3 · (4 - 2) = 3, S_KV = 25/4.
    let head = Head::new(array![[1.0]], array![[3.0], [3.0]], array![[0.0], [2.0]]).unwrap();
    let token = |score| sums(score, &head)[1];
    assert_eq!(
        (token(Score::Value), token(Score::Key), token(Score::Joint)),
        (1.0, 2.25, 6.25)
    );
    assert_eq!(token(Score::JointNoCross), 3.25);
}

#[test]
fn c07_weight_and_value_score_may_rank_apart() {
    // Weights 3/4 and 1/4, values 1 and 9: S_V,p1 is 3/4 and 9/4.
    let head = Head::new(array![[1.0]], array![[3f64.ln()], [0.0]], array![[1.0], [9.0]]).unwrap();
    let (weight, value) = (sums(Score::Weight, &head), sums(Score::ValueOneNorm, &head));
    assert!(weight[0] > weight[1] && value[0] < value[1]);
}
