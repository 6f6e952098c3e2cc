//! What every score obeys: the expansion of the joint form, the heuristic's place, and the symmetries (C6, C7, C19).

use ndarray::{Array1, Array2, Axis, array};
use obcache_scores::{Score, accumulate};
use obd_core::{Head, QueryWindow, Visibility};
use proptest::prelude::*;
use reference_attention::attend;
use verify::{strategies, tolerance};

fn sums(score: Score, head: &Head) -> Array1<f64> {
    accumulate(&score.contributions(head, &attend(head)), QueryWindow::All)
}

/// z, log a and z less its mean are all at most twice the largest input and ln kv_len <= 10.
fn slack(head: &Head) -> f64 {
    let stretch = 10.0 + 2.0 * tolerance::largest_input(head);
    let linear = (head.query_len() * head.value_dim()) as f64 * (1.0 + tolerance::largest_value(head));
    tolerance::squared_change(head, stretch) + 2.0 * linear * tolerance::weight(head)
}

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c06_joint_score_is_its_three_term_expansion(head in strategies::plain_head()) {
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
    }

    #[test]
    fn c06_joint_score_lies_between_its_bounds(head in strategies::moderate_head()) {
        let (value, key) = (sums(Score::Value, &head), sums(Score::Key, &head));
        for (j, joint) in sums(Score::Joint, &head).into_iter().enumerate() {
            prop_assert!(joint <= 2.0 * (value[j] + key[j]) + slack(&head));
            prop_assert!(joint >= (value[j].sqrt() - key[j].sqrt()).powi(2) - slack(&head));
        }
    }

    #[test]
    fn c07_one_norm_score_is_the_summed_weight_times_the_norm(head in strategies::head()) {
        let trace = attend(&head);
        for (j, score) in sums(Score::ValueOneNorm, &head).into_iter().enumerate() {
            let expected = trace.weights.column(j).sum() * head.value().row(j).mapv(f64::abs).sum();
            prop_assert!((score - expected).abs() <= tolerance::gamma(head.query_len() + head.value_dim() + 2) * 2.0 * expected);
        }
    }

    #[test]
    fn c07_weight_is_the_one_norm_score_of_values_of_norm_one(head in strategies::head()) {
        let share = 1.0 / head.value_dim() as f64;
        let unit = Head::new(head.query().clone(), head.key().clone(), Array2::from_elem(head.value().dim(), share)).unwrap();
        let trace = attend(&head);
        let one_norm = Score::ValueOneNorm.contributions(&unit, &trace);
        for (weight, one_norm) in Score::Weight.contributions(&head, &trace).iter().zip(&one_norm) {
            prop_assert!((weight - one_norm).abs() <= tolerance::gamma(head.value_dim() + 2) * weight);
        }
    }

    #[test]
    fn c19_scores_are_finite_and_never_negative(head in strategies::head()) {
        for score in Score::ALL {
            for saliency in sums(score, &head) {
                prop_assert!(saliency.is_finite() && saliency >= 0.0, "{score} {saliency}");
            }
        }
    }

    #[test]
    fn c19_scores_follow_a_permutation_of_the_tokens(head in strategies::plain_head()) {
        let backwards: Vec<usize> = (0..head.kv_len()).rev().collect();
        let mask = Array2::from_shape_fn((head.query_len(), head.kv_len()), |(i, j)| head.visibility().visible(i, j));
        let (key, value) = (head.key().select(Axis(0), &backwards), head.value().select(Axis(0), &backwards));
        let other = Head::new(head.query().clone(), key, value).unwrap();
        let other = other.with_visibility(Visibility::from_mask(mask.select(Axis(1), &backwards))).unwrap();
        for score in Score::ALL {
            for (saliency, reversed) in sums(score, &head).iter().zip(sums(score, &other).iter().rev()) {
                prop_assert!((saliency - reversed).abs() <= slack(&head), "{score}");
            }
        }
    }

    #[test]
    fn c19_a_factor_on_the_values_is_squared(head in strategies::plain_head(), power in -3..4) {
        // A power of two rounds nothing, so equality is exact.
        let factor = 2f64.powi(power);
        let other = Head::new(head.query().clone(), head.key().clone(), head.value() * factor).unwrap();
        let other = other.with_visibility(head.visibility().clone()).unwrap();
        for score in Score::ALL {
            let expected = match score {
                Score::Weight => 1.0,
                Score::ValueOneNorm => factor,
                _ => factor * factor,
            };
            prop_assert_eq!(sums(score, &other), sums(score, &head) * expected);
        }
    }
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
