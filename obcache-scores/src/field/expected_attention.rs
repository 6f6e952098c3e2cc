//! Expected attention guesses the queries to come: Gaussian, with the mean and covariance of those seen so far.
//!
//! ```text
//! softmax_j ( s μ·k_j + s² k_jᵀ Σ k_j / 2 ), mean over the group, (… + ε) ‖v_j‖          kvpress
//! μ, Σ of the queries before rotation, turned by the mean rotation R over the positions to come:  R μ, R Σ Rᵀ
//! ```
//! E exp(s q·k) is exact for Gaussian queries at one position; the softmax takes the mean of the quotient for the quotient
//! of the means, and the mean of rotations is no rotation (its covariance misses the spread between positions).

use ndarray::{Array1, Array2, Axis, s};

use super::kv_group::norms;
use super::lag_kv::softmax;
use super::{KvGroup, Missing};

/// What is taken for the future.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedAttention {
    /// First tokens: protected, and their queries left out of the statistics.
    pub sinks: usize,
    /// Positions to come over which the rotation is averaged.
    pub future_positions: usize,
    /// Whether the covariance counts, or the mean alone.
    pub covariance: bool,
    /// ε where the expected weight is multiplied by the value's norm; `None` leaves the norm out.
    pub value_norm: Option<f64>,
}

impl ExpectedAttention {
    /// Saliency of every token, shape (kv_len); infinite for the protected sinks. Claim C27.
    ///
    /// # Errors
    /// [`Missing::Rope`] where the encoding is not known, [`Missing::Positions`] where the queries do not stand at tokens'
    /// positions, and [`Missing::Queries`] where all of them are sinks'.
    pub fn saliency(&self, group: &KvGroup) -> Result<Array1<f64>, Missing> {
        let queries = group.queries_before_rope()?;
        let first = group.kv_len() - group.query_len();
        let skipped = self.sinks.saturating_sub(first);
        if skipped >= group.query_len() {
            return Err(Missing::Queries);
        }
        let ahead = group.kv_len()..group.kv_len().saturating_add(self.future_positions);
        let turn = group.rope()?.mean(ahead);
        let open = self.sinks.min(group.kv_len());
        let key = group.key().slice(s![open.., ..]);
        let mut weights = Array1::zeros(key.nrows());
        for ((head, _), query) in group.heads().iter().zip(&queries) {
            let query = query.slice(s![skipped.., ..]);
            let mean = query.sum_axis(Axis(0)) / query.nrows() as f64;
            let mut inputs = key.dot(&turn.dot(&mean)) * head.scale();
            if self.covariance {
                let centred = &query - &mean;
                let covariance: Array2<f64> = centred.t().dot(&centred) / query.nrows() as f64;
                let turned = turn.dot(&covariance).dot(&turn.t());
                let forms = (key.dot(&turned) * key).sum_axis(Axis(1));
                inputs += &(forms * (head.scale() * head.scale() / 2.0));
            }
            weights += &softmax(inputs);
        }
        weights /= group.heads().len() as f64;
        if let Some(epsilon) = self.value_norm {
            weights = (weights + epsilon) * norms(group.value().slice(s![open.., ..]));
        }
        let sinks = Array1::from_elem(open, f64::INFINITY);
        Ok(sinks.into_iter().chain(weights).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Rope;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Head;

    const PLAIN: ExpectedAttention = ExpectedAttention {
        sinks: 1,
        future_positions: 1,
        covariance: false,
        value_norm: None,
    };

    /// Two query heads that are one.
    fn group() -> KvGroup {
        let rope = Rope::new(1e4, 2).unwrap();
        // Before rotation the queries are (9, 9), (1, 0), (3, 0): mean of the last two (2, 0), variance 1 along it.
        let plain = array![[9.0, 9.0], [1.0, 0.0], [3.0, 0.0]];
        let turn = |row: usize| rope.mean(row..row + 1).dot(&plain.row(row));
        let query = ndarray::stack(Axis(0), &[turn(0).view(), turn(1).view(), turn(2).view()]).unwrap();
        // Keys along the mean query turned to position 3: logits 5 (sink), 0 and ln 2 once scaled by 1/2.
        let ahead = rope.mean(3..4).dot(&array![1.0, 0.0]);
        let along = |length: f64| &ahead * length;
        let key = [along(5.0), along(0.0), along(2f64.ln())];
        let key = ndarray::stack(Axis(0), &[key[0].view(), key[1].view(), key[2].view()]).unwrap();
        let head = Head::new(query, key, array![[1.0], [3.0], [-5.0]]).unwrap();
        let head = head.with_scale(0.5).unwrap();
        let trace = trace(&head);
        let twice = vec![(head.clone(), trace.clone()), (head, trace)];
        KvGroup::new(twice).unwrap().with_rope(rope).unwrap()
    }

    #[test]
    fn the_mean_query_attends() {
        let saliency = PLAIN.saliency(&group()).unwrap();
        assert_eq!(saliency[0], f64::INFINITY);
        assert_relative_eq!(saliency[1], 1.0 / 3.0, max_relative = 1e-6);
        assert_relative_eq!(saliency[2], 2.0 / 3.0, max_relative = 1e-6);
    }

    #[test]
    fn values_and_covariance_enter() {
        let by_value = ExpectedAttention {
            value_norm: Some(1.0 / 3.0),
            ..PLAIN
        };
        let saliency = by_value.saliency(&group()).unwrap();
        assert_relative_eq!(saliency[1], (1.0 / 3.0 + 1.0 / 3.0) * 3.0, max_relative = 1e-6);
        assert_relative_eq!(saliency[2], (2.0 / 3.0 + 1.0 / 3.0) * 5.0, max_relative = 1e-6);
        // Variance 1 along the key of length ln 2, scaled by 1/2: the logit rises by (ln 2)² / 8.
        let with_covariance = ExpectedAttention {
            covariance: true,
            ..PLAIN
        };
        let odds = 2.0 * (2f64.ln().powi(2) / 8.0).exp();
        let saliency = with_covariance.saliency(&group()).unwrap();
        assert_relative_eq!(saliency[2], odds / (1.0 + odds), max_relative = 1e-6);
    }

    #[test]
    fn what_cannot_be_expected_is_told() {
        let all_sinks = ExpectedAttention { sinks: 3, ..PLAIN };
        assert_eq!(all_sinks.saliency(&group()), Err(Missing::Queries));
        let unknown = KvGroup::new(group().heads().to_vec()).unwrap();
        assert_eq!(PLAIN.saliency(&unknown), Err(Missing::Rope));
    }
}
