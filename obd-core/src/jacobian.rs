//! The Jacobian answers how the output moves, to first order, when keys and values do.
//!
//! ```text
//! do_i = sum_j a_ij [ dv_j + (v_j - o_i) dz_ij ]        dz_ij = scale q_i·dk_j  (times 1 - tanh²(z/c) under soft-cap)
//! ```
//! The Hessian of the objective at 0 is 2 JᵀJ exactly, because the residual is 0 there (claim C2), so the
//! second-order saliency of a direction is `½ deltaᵀ H delta = ‖J delta‖²`.

use ndarray::{Array1, Array2};

use crate::{AttentionTrace, Direction, Head, Perturbation, QueryWindow};

/// `J delta`: first-order change of the output, shape (query_len, value_dim). Masked pairs have weight 0 and add nothing.
/// Claim C3. Claim C16 bounds what it leaves out.
///
/// # Panics
/// Where the shapes of `trace` or `direction` are not those of `head`.
pub fn apply(head: &Head, trace: &AttentionTrace, direction: &Direction) -> Array2<f64> {
    let mut change = Array2::zeros(trace.output.dim());
    for ((i, j), &weight) in trace.weights.indexed_iter() {
        let dz = logit_change(head, trace, direction, i, j);
        for c in 0..head.value_dim() {
            let gap = head.value()[[j, c]] - trace.output[[i, c]];
            change[[i, c]] += weight * (direction.value[[j, c]] + gap * dz);
        }
    }
    change
}

/// dz of one pair: the first-order change of its softmax input.
fn logit_change(head: &Head, trace: &AttentionTrace, direction: &Direction, i: usize, j: usize) -> f64 {
    let products = head
        .query()
        .row(i)
        .iter()
        .zip(direction.key.row(j))
        .map(|(q, dk)| q * dk)
        .sum::<f64>();
    let slope = head
        .softcap()
        .map_or(1.0, |softcap| softcap.slope(trace.logits[[i, j]]));
    slope * head.scale() * products
}

/// `½ deltaᵀ H delta = ‖J delta‖²` over the queries of `window`: the second-order saliency of a direction. Claim C2.
///
/// # Panics
/// Where the shapes of `trace` or `direction` are not those of `head`.
pub fn quadratic_form(head: &Head, trace: &AttentionTrace, direction: &Direction, window: QueryWindow) -> f64 {
    let change = apply(head, trace, direction);
    let mut sum = 0.0;
    for i in window.queries(change.nrows()) {
        sum += change.row(i).iter().map(|change| change * change).sum::<f64>();
    }
    sum
}

/// The second-order saliency of deleting each token, from the quadratic form itself and no closed form, shape (kv_len).
///
/// `None` for [`Perturbation::Removal`], which is no direction of keys and values: its first order is the diagonal of
/// the Gram matrix ([`crate::gram`]). O(query_len · kv_len² · value_dim).
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn deletion_saliency(
    head: &Head,
    trace: &AttentionTrace,
    what: Perturbation,
    window: QueryWindow,
) -> Option<Array1<f64>> {
    let direction = match what {
        Perturbation::Removal => return None,
        Perturbation::KeyZeroing => Direction::key_deletion,
        Perturbation::ValueZeroing => Direction::value_deletion,
        Perturbation::JointZeroing => Direction::joint_deletion,
    };
    Some(Array1::from_shape_fn(head.kv_len(), |token| {
        quadratic_form(head, trace, &direction(head, token), window)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Softcap;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0, output 2; dk = (0, 1, 0), dv = (8, 0, 0), query 3 at scale 1.
        let head = Head::new(array![[3.0]], logs().key() / 3.0, logs().value().clone()).unwrap();
        let direction = Direction {
            key: array![[0.0], [1.0], [0.0]],
            value: array![[8.0], [0.0], [0.0]],
        };
        // 8/8 + (2/8) (4 - 2) 3
        assert_relative_eq!(
            apply(&head, &trace(&head), &direction),
            array![[2.5]],
            max_relative = 1e-14
        );
    }

    #[test]
    fn a_softcap_slows_the_logits() {
        let head = logs().with_softcap(Softcap::new(1.0).unwrap());
        let trace = trace(&head);
        let direction = Direction {
            key: array![[0.0], [1.0], [0.0]],
            value: Array2::zeros((3, 1)),
        };
        let expected = trace.weights[[0, 1]] * (4.0 - trace.output[[0, 0]]) * 0.64;
        assert_relative_eq!(
            apply(&head, &trace, &direction),
            array![[expected]],
            max_relative = 1e-14
        );
    }

    #[test]
    fn the_scale_multiplies_the_logits() {
        let head = logs().with_scale(2.0).unwrap();
        let trace = trace(&head);
        let key = Direction::key_deletion(&head, 1);
        let expected = -trace.weights[[0, 1]] * (4.0 - trace.output[[0, 0]]) * 2.0 * 2f64.ln();
        assert_relative_eq!(apply(&head, &trace, &key), array![[expected]], max_relative = 1e-14);
    }

    #[test]
    fn the_quadratic_form_sums_squares_over_the_window() {
        // dv_0 = (-4, 0) with weights 1/2 and 1/4: changes (-2, 0) and (-1, 0).
        let head = two_queries();
        let trace = trace(&head);
        let direction = Direction::value_deletion(&head, 0);
        assert_relative_eq!(
            quadratic_form(&head, &trace, &direction, QueryWindow::All),
            5.0,
            max_relative = 1e-14
        );
        assert_relative_eq!(
            quadratic_form(&head, &trace, &direction, QueryWindow::Last(1)),
            1.0,
            max_relative = 1e-14
        );
    }

    #[test]
    fn each_deletion_has_its_saliency() {
        let head = logs();
        let trace = trace(&head);
        let saliency = |what| deletion_saliency(&head, &trace, what, QueryWindow::All);
        assert_eq!(saliency(Perturbation::Removal), None);
        let values = saliency(Perturbation::ValueZeroing).unwrap();
        assert_relative_eq!(values, array![1.0, 1.0, 0.0], max_relative = 1e-14);
        let ln = [0.0, 2f64.ln(), 5f64.ln()];
        let keys = array![0.0, (0.5 * ln[1]).powi(2), (1.25 * ln[2]).powi(2)];
        assert_relative_eq!(saliency(Perturbation::KeyZeroing).unwrap(), keys, max_relative = 1e-14);
        let both = array![1.0, (1.0 + 0.5 * ln[1]).powi(2), (1.25 * ln[2]).powi(2)];
        assert_relative_eq!(
            saliency(Perturbation::JointZeroing).unwrap(),
            both,
            max_relative = 1e-14
        );
    }
}
