//! Whether every query head keeps its own row.

use clap::ValueEnum;
use ndarray::{Array1, Array2, Axis, stack};
use obd_core::GroupReduction;
use serde::{Deserialize, Serialize};

/// What becomes of the query heads that read one KV head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Heads {
    /// A row for each query head.
    Each,
    /// A row for each KV head: the sum over its query heads.
    Sum,
    /// A row for each KV head: the mean over its query heads.
    Mean,
    /// A row for each KV head: the maximum over its query heads.
    Max,
}

impl Heads {
    /// The rows of a group from those of its query heads, at least one, shape (kv_len) each.
    pub(super) fn rows(self, heads: &[Array1<f64>]) -> Array2<f64> {
        const ONE_LENGTH: &str = "a group has heads, of one length";
        let reduction = match self {
            Self::Each => {
                let rows: Vec<_> = heads.iter().map(|head| head.view()).collect();
                return stack(Axis(0), &rows).expect(ONE_LENGTH);
            }
            Self::Sum => GroupReduction::Sum,
            Self::Mean => GroupReduction::Mean,
            Self::Max => GroupReduction::Max,
        };
        reduction.reduce(heads).expect(ONE_LENGTH).insert_axis(Axis(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_by_hand() {
        let heads = [array![1.0, 8.0], array![3.0, 2.0]];
        assert_eq!(Heads::Each.rows(&heads), array![[1.0, 8.0], [3.0, 2.0]]);
        assert_eq!(Heads::Sum.rows(&heads), array![[4.0, 10.0]]);
        assert_eq!(Heads::Mean.rows(&heads), array![[2.0, 5.0]]);
        assert_eq!(Heads::Max.rows(&heads), array![[3.0, 8.0]]);
    }
}
