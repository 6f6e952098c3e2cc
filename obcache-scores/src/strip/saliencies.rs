//! What the engine yields for one query head.

use ndarray::{Array1, Array2};
use obd_core::Perturbation;

use super::Element;
use super::columns::COLUMNS;
use crate::Score;

/// Attention output and every column sum of one query head, over the queries of the problem's window.
///
/// Each sum has shape (kv_len), in 64 bits for either storage, and is 0 for a token that no query of the window sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Saliencies<T> {
    /// Attention output o of the window's queries, shape (window_len, value_dim); 0 for a query that sees no token.
    pub output: Array2<T>,
    /// Log of the softmax denominator, natural base, sink included, shape (window_len); `-inf` for a query that sees
    /// neither token nor sink.
    pub log_sum_exp: Array1<f64>,
    /// [`Score::Weight`].
    pub weight: Array1<f64>,
    /// [`Score::Value`], also the exact error of value zeroing.
    pub value: Array1<f64>,
    /// [`Score::ValueOneNorm`].
    pub value_one_norm: Array1<f64>,
    /// [`Score::Key`].
    pub key: Array1<f64>,
    /// [`Score::Joint`].
    pub joint: Array1<f64>,
    /// [`Score::JointNoCross`].
    pub joint_no_cross: Array1<f64>,
    /// [`Score::KeyLse`].
    pub key_lse: Array1<f64>,
    /// [`Score::JointLse`].
    pub joint_lse: Array1<f64>,
    /// [`Score::KeyMean`].
    pub key_mean: Array1<f64>,
    /// [`Score::JointMean`].
    pub joint_mean: Array1<f64>,
    /// [`Score::Removal`], the exact error of evicting the token.
    pub removal: Array1<f64>,
    /// Exact error of setting the token's key to 0.
    pub key_zeroing: Array1<f64>,
    /// Exact error of setting the token's key and value to 0.
    pub joint_zeroing: Array1<f64>,
}

impl<T: Element> Saliencies<T> {
    /// No query, and 0 for each of `tokens` tokens.
    pub(super) fn zeros(tokens: usize) -> Self {
        let zeros = || Array1::zeros(tokens);
        Self {
            output: Array2::default((0, 0)),
            log_sum_exp: Array1::zeros(0),
            weight: zeros(),
            value: zeros(),
            value_one_norm: zeros(),
            key: zeros(),
            joint: zeros(),
            joint_no_cross: zeros(),
            key_lse: zeros(),
            joint_lse: zeros(),
            key_mean: zeros(),
            joint_mean: zeros(),
            removal: zeros(),
            key_zeroing: zeros(),
            joint_zeroing: zeros(),
        }
    }

    /// The columns in the order of [`columns`](super::columns::columns).
    pub(super) fn columns_mut(&mut self) -> [&mut Array1<f64>; COLUMNS] {
        [
            &mut self.weight,
            &mut self.value,
            &mut self.value_one_norm,
            &mut self.key,
            &mut self.joint,
            &mut self.joint_no_cross,
            &mut self.key_lse,
            &mut self.joint_lse,
            &mut self.key_mean,
            &mut self.joint_mean,
            &mut self.removal,
            &mut self.key_zeroing,
            &mut self.joint_zeroing,
        ]
    }
}

impl<T> Saliencies<T> {
    /// The sums of one score, shape (kv_len).
    pub fn score(&self, score: Score) -> &Array1<f64> {
        match score {
            Score::Weight => &self.weight,
            Score::Value => &self.value,
            Score::ValueOneNorm => &self.value_one_norm,
            Score::Key => &self.key,
            Score::Joint => &self.joint,
            Score::JointNoCross => &self.joint_no_cross,
            Score::KeyLse => &self.key_lse,
            Score::JointLse => &self.joint_lse,
            Score::KeyMean => &self.key_mean,
            Score::JointMean => &self.joint_mean,
            Score::Removal => &self.removal,
        }
    }

    /// The exact error of a perturbation of each token alone, shape (kv_len).
    pub fn exact(&self, perturbation: Perturbation) -> &Array1<f64> {
        match perturbation {
            Perturbation::Removal => &self.removal,
            Perturbation::KeyZeroing => &self.key_zeroing,
            Perturbation::ValueZeroing => &self.value,
            Perturbation::JointZeroing => &self.joint_zeroing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_perturbations_have_their_columns() {
        let mut saliencies = Saliencies::<f64>::zeros(1);
        for (number, column) in saliencies.columns_mut().into_iter().enumerate() {
            column.fill(number as f64);
        }
        let scores = Score::ALL.map(|score| saliencies.score(score)[0]);
        assert_eq!(scores, [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 6.0, 8.0, 7.0, 9.0, 0.0]);
        let exact = Perturbation::ALL.map(|what| (what, saliencies.exact(what)[0]));
        for (what, column) in [
            (Perturbation::Removal, 10.0),
            (Perturbation::KeyZeroing, 11.0),
            (Perturbation::ValueZeroing, 1.0),
            (Perturbation::JointZeroing, 12.0),
        ] {
            assert!(exact.contains(&(what, column)), "{what:?}");
        }
    }
}
