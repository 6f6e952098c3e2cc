//! Each score's contribution as a product of factors that can be multiplied by hand.

use ndarray::{Array1, ArrayView1};
use obcache_scores::Score;
use obd_core::{AttentionTrace, Head};

/// A factor: what it is, and its number.
pub(super) type Factor = (&'static str, f64);

/// The factors whose product is what query i contributes to token j; needs a weight below 1. `None` for a score that nobody has
/// taken apart here.
pub(super) fn factors(score: Score, head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> Option<Vec<Factor>> {
    let weights = trace.weights.row(i);
    let (a, z) = (weights[j], trace.logits[[i, j]]);
    let value = head.value().row(j);
    let gap = &value - &trace.output.row(i);
    let log_weight = z - trace.log_sum_exp[i];
    let above_mean = z - mean(weights, trace.logits.row(i));
    let joint = |response: f64| square(&(&value + &(&gap * response)));
    let one_norm = value.iter().map(|x| x.abs()).sum();
    let (value, gap) = (square(&value.to_owned()), square(&gap));
    Some(match score {
        Score::Value => vec![("a²", a * a), ("‖v‖²", value)],
        Score::ValueOneNorm => vec![("a", a), ("‖v‖₁", one_norm)],
        Score::Key => vec![("a²", a * a), ("z²", z * z), ("‖v - o‖²", gap)],
        Score::Joint => vec![("a²", a * a), ("‖v + z (v - o)‖²", joint(z))],
        Score::JointNoCross => vec![("a²", a * a), ("(‖v‖² + z² ‖v - o‖²)", value + z * z * gap)],
        Score::Removal => vec![("(a / (1 - a))²", (a / (1.0 - a)).powi(2)), ("‖v - o‖²", gap)],
        Score::KeyLse => vec![("a²", a * a), ("(log a)²", log_weight.powi(2)), ("‖v - o‖²", gap)],
        Score::KeyMean => vec![("a²", a * a), ("(z - mean z)²", above_mean.powi(2)), ("‖v - o‖²", gap)],
        Score::JointLse => vec![("a²", a * a), ("‖v + log a (v - o)‖²", joint(log_weight))],
        Score::JointMean => vec![("a²", a * a), ("‖v + (z - mean z) (v - o)‖²", joint(above_mean))],
        Score::Weight => vec![("a", a)],
        _ => return None,
    })
}

fn square(vector: &Array1<f64>) -> f64 {
    vector.iter().map(|x| x * x).sum()
}

/// Mean of the logits under the weights.
fn mean(weights: ArrayView1<f64>, logits: ArrayView1<f64>) -> f64 {
    weights.iter().zip(logits).map(|(a, z)| a * z).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Visibility;
    use reference_attention::attend;

    /// A handful of roundings a number, each below 2⁻⁵³, on numbers that do not cancel: 1e-13 leaves room for 900.
    #[test]
    fn the_product_is_the_contribution() {
        let head = Head::new(
            array![[1.0, -2.0], [0.0, 1.0]],
            array![[1.0, 0.0], [-1.0, 1.0], [2.0, 1.0]],
            array![[3.0, -1.0], [2.0, 2.0], [-4.0, 1.0]],
        )
        .unwrap()
        .with_visibility(Visibility::all(2, 3))
        .unwrap();
        let trace = attend(&head);
        for score in Score::ALL {
            for ((i, j), &contribution) in score.contributions(&head, &trace).indexed_iter() {
                let Some(factors) = factors(score, &head, &trace, i, j) else {
                    continue;
                };
                let product: f64 = factors.iter().map(|factor| factor.1).product();
                assert_relative_eq!(product, contribution, max_relative = 1e-13);
            }
        }
    }
}
