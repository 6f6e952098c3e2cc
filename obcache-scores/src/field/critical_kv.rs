//! CriticalKV: half of the budget by any score, the rest by that score times what the value weighs behind W_O.
//!
//! ```text
//! first picks: the best of the base score, protected
//! the others: (base + ε) · mean over the group of ‖W_h v_j‖₁          2502.03805
//! ```
//! The score depends on the budget. With a base of summed weights it bounds the output's 1-norm change, first order, no
//! cancellation between tokens or heads counted.

use ndarray::Array1;

use super::{KvGroup, Missing};

/// Mean over the group of ‖W_h v_j‖₁, shape (kv_len).
///
/// # Errors
/// [`Missing::OutputProjection`] where W_O is not known.
pub fn projected_one_norms(group: &KvGroup) -> Result<Array1<f64>, Missing> {
    let projections = group.projections()?;
    let mut norms = Array1::zeros(group.kv_len());
    for projection in projections {
        let images = group.value().dot(&projection.t());
        norms += &images.map_axis(ndarray::Axis(1), |image| image.iter().map(|x| x.abs()).sum::<f64>());
    }
    Ok(norms / projections.len() as f64)
}

/// Saliency of every token, shape (kv_len): `base` with the best `first` tokens protected (infinite) and the others
/// weighed. Tokens that the base protects stay protected; of equals the newer is picked first. Claim C30.
///
/// # Errors
/// [`Missing::OutputProjection`] where W_O is not known; [`Missing::Base`] where `base` is not of shape (kv_len).
pub fn critical_kv(group: &KvGroup, base: &Array1<f64>, first: usize, epsilon: f64) -> Result<Array1<f64>, Missing> {
    if base.len() != group.kv_len() {
        return Err(Missing::Base);
    }
    let norms = projected_one_norms(group)?;
    let mut saliency: Array1<f64> = base
        .iter()
        .zip(&norms)
        .map(|(&base, norm)| {
            if base == f64::INFINITY {
                base
            } else {
                (base + epsilon) * norm
            }
        })
        .collect();
    let mut order: Vec<usize> = (0..base.len()).collect();
    order.sort_by(|&a, &b| base[b].total_cmp(&base[a]).then(b.cmp(&a)));
    for &token in order.iter().take(first) {
        saliency[token] = f64::INFINITY;
    }
    Ok(saliency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn group() -> KvGroup {
        // Values 8, 4, 0 through (1, -1) and (3, 0): 1-norms 2 v and 3 v, on average 5/2 v.
        let attended = || (logs(), trace(&logs()));
        let group = KvGroup::new(vec![attended(), attended()]).unwrap();
        group
            .with_projections(vec![array![[1.0], [-1.0]], array![[3.0], [0.0]]])
            .unwrap()
    }

    #[test]
    fn the_first_stage_picks_and_the_second_weighs() {
        assert_eq!(projected_one_norms(&group()).unwrap(), array![20.0, 10.0, 0.0]);
        let base = array![0.1, 0.5, 0.4];
        let weighed = critical_kv(&group(), &base, 0, 0.1).unwrap();
        assert_relative_eq!(weighed, array![4.0, 6.0, 0.0], max_relative = 1e-15);
        let picked = critical_kv(&group(), &base, 1, 0.1).unwrap();
        assert_relative_eq!(picked, array![4.0, f64::INFINITY, 0.0], max_relative = 1e-15);
    }

    #[test]
    fn of_equals_the_newer_is_picked_and_the_protected_stay() {
        let picked = critical_kv(&group(), &array![1.0, 1.0, 1.0], 2, 0.0).unwrap();
        assert_eq!(picked, array![20.0, f64::INFINITY, f64::INFINITY]);
        let protected = critical_kv(&group(), &array![1.0, 2.0, f64::INFINITY], 0, 0.0).unwrap();
        assert_eq!(protected, array![20.0, 20.0, f64::INFINITY]);
    }

    #[test]
    fn what_is_missing_is_told() {
        let bare = KvGroup::new(group().heads().to_vec()).unwrap();
        assert_eq!(
            critical_kv(&bare, &array![1.0, 1.0, 1.0], 1, 0.0),
            Err(Missing::OutputProjection)
        );
        assert_eq!(critical_kv(&group(), &array![1.0], 1, 0.0), Err(Missing::Base));
    }
}
