//! Behind the output projection the query heads of one KV head act together (claim C17).
//!
//! ```text
//! change of y_i = sum_h W_h c_i^h          c^h = exact change of head h's output when the token is removed
//! together = ‖sum_h W_h c_i^h‖²            apart = sum_h ‖W_h c_i^h‖²            0 <= together <= heads · apart
//! ```
//! What a sum over heads drops is the cross-head terms, together - apart. *Exact.*

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use obd_core::{AttentionTrace, Head, Perturbation};

use crate::exact;

/// Squared norms of what a token's removal changes behind W_O, shape (query_len, kv_len) each.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// Of the sum over the heads: what the layer's output loses.
    pub together: Array2<f64>,
    /// Of each head alone, summed over the heads.
    pub apart: Array2<f64>,
}

/// Removal of each token behind the output projection of the query heads that read one KV head. Claim C17.
///
/// `projections` holds per head the columns of W_O that read it, shape (hidden, value_dim). `None` where there is no
/// head, or where the shapes of two heads or of a projection do not fit. Both norms are taken through
/// `[W_1 W_2 ...]ᵀ [W_1 W_2 ...]`: O(query_len · kv_len · (heads · value_dim)²), whatever hidden is.
///
/// # Panics
/// Where the shapes of a trace are not those of its head.
pub fn removal(heads: &[(Head, AttentionTrace)], projections: &[Array2<f64>]) -> Option<Projected> {
    let (first, _) = heads.first()?;
    let shape = |head: &Head| (head.query_len(), head.kv_len(), head.value_dim());
    let fits = |projection: &Array2<f64>| projection.ncols() == first.value_dim();
    if heads.iter().any(|(head, _)| shape(head) != shape(first))
        || projections.len() != heads.len()
        || !projections.iter().all(fits)
    {
        return None;
    }
    let views: Vec<ArrayView2<f64>> = projections.iter().map(|projection| projection.view()).collect();
    let joined = concatenate(Axis(1), &views).ok()?;
    let product = joined.t().dot(&joined);
    let mut projected = Projected {
        together: Array2::zeros((first.query_len(), first.kv_len())),
        apart: Array2::zeros((first.query_len(), first.kv_len())),
    };
    for token in 0..first.kv_len() {
        let changes: Vec<Array2<f64>> = heads
            .iter()
            .map(|(head, trace)| exact::perturbation(Perturbation::Removal, head, trace, token))
            .collect();
        let views: Vec<ArrayView2<f64>> = changes.iter().map(|change| change.view()).collect();
        let joined = concatenate(Axis(1), &views).expect("a row for every query");
        add_forms(&mut projected.together, token, joined.view(), product.view());
        for (place, change) in changes.iter().enumerate() {
            let block = place * first.value_dim()..(place + 1) * first.value_dim();
            let product = product.slice(s![block.clone(), block]);
            add_forms(&mut projected.apart, token, change.view(), product);
        }
    }
    Some(projected)
}

/// Adds `c_i · M c_i` of every row of `changes` to the column of `token`; what rounds below 0 is 0.
fn add_forms(sums: &mut Array2<f64>, token: usize, changes: ArrayView2<f64>, product: ArrayView2<f64>) {
    let images = changes.dot(&product);
    for (i, (change, image)) in changes.rows().into_iter().zip(images.rows()).enumerate() {
        let form: f64 = change.iter().zip(image).map(|(c, m)| c * m).sum();
        sums[[i, token]] += form.max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn attended() -> (Head, AttentionTrace) {
        let head = logs();
        let trace = trace(&head);
        (head, trace)
    }

    #[test]
    fn heads_add_up_or_cancel_behind_the_projection() {
        // Values 8, 4, 0 at weights 1/8, 2/8, 5/8: without the last the output goes from 2 to 16/3, a change of 10/3.
        let square = 100.0 / 9.0;
        for (second, together) in [(1.0, 4.0), (-1.0, 0.0), (2.0, 9.0)] {
            let projections = [array![[1.0], [0.0]], array![[second], [0.0]]];
            let projected = removal(&[attended(), attended()], &projections).unwrap();
            assert_relative_eq!(
                projected.together[[0, 2]],
                together * square,
                max_relative = 1e-14,
                epsilon = 1e-14
            );
            let apart = (1.0 + second * second) * square;
            assert_relative_eq!(projected.apart[[0, 2]], apart, max_relative = 1e-14);
        }
    }

    #[test]
    fn orthogonal_projections_leave_no_cross_term() {
        let projections = [array![[3.0], [0.0]], array![[0.0], [4.0]]];
        let projected = removal(&[attended(), attended()], &projections).unwrap();
        assert_relative_eq!(projected.together[[0, 2]], 25.0 * 100.0 / 9.0, max_relative = 1e-14);
        assert_eq!(projected.together, projected.apart);
    }

    #[test]
    fn each_head_meets_its_own_columns() {
        // The second channel is twice the first: a change of (10/3, 20/3), of which each head shows one channel.
        let (logs, trace) = attended();
        let value = concatenate![Axis(1), *logs.value(), logs.value() * 2.0];
        let head = Head::new(logs.query().clone(), logs.key().clone(), value).unwrap();
        let output = concatenate![Axis(1), trace.output, &trace.output * 2.0];
        let trace = AttentionTrace { output, ..trace };
        let projections = [array![[1.0, 0.0]], array![[0.0, 1.0]]];
        let projected = removal(&[(head.clone(), trace.clone()), (head, trace)], &projections).unwrap();
        assert_relative_eq!(projected.together[[0, 2]], 100.0, max_relative = 1e-14);
        assert_relative_eq!(projected.apart[[0, 2]], 500.0 / 9.0, max_relative = 1e-14);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(removal(&[], &[]), None);
        assert_eq!(removal(&[attended()], &[]), None);
        assert_eq!(removal(&[attended()], &[array![[1.0, 2.0]]]), None);
        let wider = Head::new(array![[0.0]], array![[0.0]], array![[1.0]]).unwrap();
        let pair = (wider.clone(), trace(&wider));
        assert_eq!(removal(&[attended(), pair], &[array![[1.0]], array![[1.0]]]), None);
    }
}
