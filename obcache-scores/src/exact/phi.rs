//! How far first order is from the truth when a key is zeroed: one number of the weight and the logit (claim C10).
//!
//! ```text
//! exact change / first-order change = phi(a, z) = (1 - e^-z) / (z (1 - a (1 - e^-z)))
//! ```
//! whatever the values. It is 1 at z = 0 and tends to 1 / (z (1 - a)) as z → ∞. Towards z → -∞ it grows like e^|z| / |z|
//! while a e^|z| is small, and in the end falls like 1 / (a |z|).

use ndarray::Array2;
use obd_core::{AttentionTrace, Head, QueryWindow};

/// The ratio of the exact to the first-order change, for a weight in [0, 1) and a finite logit. Claim C10.
pub fn phi(weight: f64, logit: f64) -> f64 {
    let z = logit;
    if z < 0.0 {
        z.exp_m1() / (z * (weight + (1.0 - weight) * z.exp()))
    } else if z > 0.0 {
        (-z).exp_m1() / (-z * (1.0 + weight * (-z).exp_m1()))
    } else {
        1.0
    }
}

/// Least and greatest phi of every token over the queries of `window` that see it, shape (kv_len, 2); `NaN` where none
/// does. With them `low² S_K <= true error of key zeroing <= high² S_K` for heads without soft-cap. Claim C10.
pub fn bounds(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Array2<f64> {
    let mut bounds = Array2::from_elem((head.kv_len(), 2), f64::NAN);
    for i in window.queries(head.query_len()) {
        for j in (0..head.kv_len()).filter(|&j| head.visibility().visible(i, j)) {
            let phi = phi(trace.weights[[i, j]], trace.logits[[i, j]]);
            bounds[[j, 0]] = bounds[[j, 0]].min(phi);
            bounds[[j, 1]] = bounds[[j, 1]].max(phi);
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;

    #[test]
    fn by_hand() {
        let z = 2f64.ln();
        // 1 - e^-z = 1/2: phi = (1/2) / (z (1 - a/2)); for -z: 1 - e^z = -1: phi = 1 / (z (1 + a)).
        assert_relative_eq!(phi(0.25, z), 0.5 / (z * 0.875), max_relative = 1e-15);
        assert_relative_eq!(phi(0.25, -z), 1.0 / (z * 1.25), max_relative = 1e-15);
        assert_eq!(phi(0.25, 0.0), 1.0);
    }

    #[test]
    fn limits() {
        assert_relative_eq!(phi(0.5, 1e-12), 1.0, max_relative = 1e-11);
        assert_relative_eq!(phi(0.75, 800.0), 1.0 / (800.0 * 0.25), max_relative = 1e-15);
        assert_relative_eq!(phi(0.5, -800.0), 1.0 / (800.0 * 0.5), max_relative = 1e-15);
    }

    #[test]
    fn bounds_cover_the_queries_that_see_the_token() {
        let head = two_queries();
        let trace = trace(&head);
        let (low, high) = (phi(0.5, 2f64.ln()), 1.0);
        let bounds_all = bounds(&head, &trace, QueryWindow::All);
        assert_eq!(bounds_all.row(0).to_vec(), [high, high]);
        assert_relative_eq!(bounds_all[[2, 0]], low, max_relative = 1e-15);
        assert_relative_eq!(bounds_all[[2, 1]], low, max_relative = 1e-15);
        let hidden = logs().without(&[1]);
        assert!(bounds(&hidden, &crate::test_heads::trace(&hidden), QueryWindow::All)[[1, 0]].is_nan());
    }

    #[test]
    fn bounds_are_the_extremes() {
        use ndarray::array;
        let head = Head::new(array![[1.0], [-2.0]], array![[1.0], [0.0]], array![[0.0], [1.0]]).unwrap();
        let head = head.with_visibility(obd_core::Visibility::all(2, 2)).unwrap();
        let trace = trace(&head);
        let phis = [phi(trace.weights[[0, 0]], 1.0), phi(trace.weights[[1, 0]], -2.0)];
        assert!(phis[0] < phis[1]);
        assert_eq!(bounds(&head, &trace, QueryWindow::All).row(0).to_vec(), phis);
        assert_eq!(
            bounds(&head, &trace, QueryWindow::Last(1)).row(0).to_vec(),
            [phis[1], phis[1]]
        );
    }
}
