//! What the engine yields for one query head.

use ndarray::{Array1, Array2};
use obcache_scores::Score;
use obd_core::Perturbation;

use crate::columns::{COLUMNS, Column};

/// Attention output and every column sum of one query head, over the queries of the problem's window.
///
/// Each column has shape (kv_len), in 64 bits for either storage, and is 0 for a token that no query of the window sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Saliencies<T> {
    /// Attention output o of the window's queries, shape (window_len, value_dim); 0 for a query that sees no token.
    pub output: Array2<T>,
    /// Log of the softmax denominator, natural base, sink included, shape (window_len); `-inf` for a query that sees
    /// neither token nor sink.
    pub log_sum_exp: Array1<f64>,
    /// In the order of [`Column::ALL`].
    pub(crate) columns: [Array1<f64>; COLUMNS],
}

impl<T> Saliencies<T> {
    /// The sums of one column, shape (kv_len).
    pub fn column(&self, column: Column) -> &Array1<f64> {
        &self.columns[column as usize]
    }

    /// The sums of a score, shape (kv_len); `None` where the engine has no column for it.
    pub fn score(&self, score: Score) -> Option<&Array1<f64>> {
        Column::of_score(score).map(|column| self.column(column))
    }

    /// The exact error of a perturbation of each token alone, shape (kv_len); `None` where the engine has no column for it.
    pub fn exact(&self, perturbation: Perturbation) -> Option<&Array1<f64>> {
        Column::of_exact(perturbation).map(|column| self.column(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn scores_and_perturbations_are_found_in_their_columns() {
        let saliencies = Saliencies::<f64> {
            output: Array2::zeros((0, 0)),
            log_sum_exp: Array1::zeros(0),
            columns: Column::ALL.map(|column| array![column as usize as f64]),
        };
        for column in Column::ALL {
            assert_eq!(saliencies.column(column)[0], column as usize as f64);
        }
        assert_eq!(saliencies.score(Score::Joint), Some(saliencies.column(Column::Joint)));
        let zeroing = saliencies.exact(Perturbation::JointZeroing);
        assert_eq!(zeroing, Some(saliencies.column(Column::JointZeroing)));
    }
}
