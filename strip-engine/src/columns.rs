//! The columns that the engine computes, and how they follow from the sums over pairs.
//!
//! [`TABLE`] is the one list of them: a line a column, in the order in which every array of columns stands. A score or a
//! perturbation without a line here has no column, and is computed from a trace.

use std::ops::{Add, Mul};

use obcache_scores::Score;
use obd_core::Perturbation as Exact;

use self::Measure::{One, Square, Unit};
use crate::pair_sums::PairSums;

/// What the engine computes of every cached token, summed over the queries of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The attention weight.
    Weight,
    /// The value score, which is also the exact error of value zeroing.
    Value,
    /// The value score with the 1-norm.
    ValueOneNorm,
    /// The key score.
    Key,
    /// The joint score.
    Joint,
    /// The joint score without its cross term.
    JointNoCross,
    /// The key score measured from the log-sum-exp.
    KeyLse,
    /// The joint score measured from the log-sum-exp.
    JointLse,
    /// The key score measured from the mean logit.
    KeyMean,
    /// The joint score measured from the mean logit.
    JointMean,
    /// The removal score, which is also the exact error of evicting the token.
    Removal,
    /// The exact error of setting the token's key to 0.
    KeyZeroing,
    /// The exact error of setting the token's key and value to 0.
    JointZeroing,
}

/// What a column is a multiple of, where values are measured in a unit.
#[derive(Clone, Copy)]
enum Measure {
    /// A pure number.
    One,
    /// The values' unit.
    Unit,
    /// Its square.
    Square,
}

/// One line a column: the score that it holds, the perturbation whose exact error it holds, and what it is measured in.
const TABLE: &[(Column, Option<Score>, Option<Exact>, Measure)] = &[
    (Column::Weight, Some(Score::Weight), None, One),
    (Column::Value, Some(Score::Value), Some(Exact::ValueZeroing), Square),
    (Column::ValueOneNorm, Some(Score::ValueOneNorm), None, Unit),
    (Column::Key, Some(Score::Key), None, Square),
    (Column::Joint, Some(Score::Joint), None, Square),
    (Column::JointNoCross, Some(Score::JointNoCross), None, Square),
    (Column::KeyLse, Some(Score::KeyLse), None, Square),
    (Column::JointLse, Some(Score::JointLse), None, Square),
    (Column::KeyMean, Some(Score::KeyMean), None, Square),
    (Column::JointMean, Some(Score::JointMean), None, Square),
    (Column::Removal, Some(Score::Removal), Some(Exact::Removal), Square),
    (Column::KeyZeroing, None, Some(Exact::KeyZeroing), Square),
    (Column::JointZeroing, None, Some(Exact::JointZeroing), Square),
];

/// Number of columns.
pub(crate) const COLUMNS: usize = TABLE.len();

impl Column {
    /// All columns in the order of the table.
    pub const ALL: [Self; COLUMNS] = {
        let mut all = [Self::Weight; COLUMNS];
        let mut line = 0;
        while line < COLUMNS {
            all[line] = TABLE[line].0;
            // Arrays of columns are indexed by the column itself.
            assert!(all[line] as usize == line);
            line += 1;
        }
        all
    };

    /// The column that holds a score; `None` where the engine does not compute it, so that a trace must.
    pub fn of_score(score: Score) -> Option<Self> {
        TABLE.iter().find(|line| line.1 == Some(score)).map(|line| line.0)
    }

    /// The column that holds the exact error of a perturbation; `None` as in [`Column::of_score`].
    pub fn of_exact(perturbation: Exact) -> Option<Self> {
        TABLE
            .iter()
            .find(|line| line.2 == Some(perturbation))
            .map(|line| line.0)
    }

    /// What the column is measured in where values are measured in `unit`.
    #[inline(always)]
    pub(crate) fn measure(self, unit: f64) -> f64 {
        match TABLE[self as usize].3 {
            One => 1.0,
            Unit => unit,
            Square => unit * unit,
        }
    }
}

/// The columns of a token, or of a vector of tokens, from its sums and its ‖v‖² and ‖v‖₁, all in units; in the order of
/// [`Column::ALL`]. `squares` puts 0 in the place of what is less.
#[inline(always)]
pub(crate) fn columns<N>(sums: PairSums<N>, [norm, one_norm]: [N; 2], squares: impl Fn(N) -> N) -> [N; COLUMNS]
where
    N: Copy + Add<Output = N> + Mul<Output = N>,
{
    let PairSums { weight, key, cross, .. } = sums;
    let value = sums.squared_weight * norm;
    let joint = |level: usize| squares(value + (key[level] + (cross[level] + cross[level])));
    [
        weight,
        value,
        weight * one_norm,
        key[0],
        joint(0),
        value + key[0],
        key[1],
        joint(1),
        key[2],
        joint(2),
        sums.removal,
        sums.key_zeroing,
        squares(sums.joint_zeroing),
    ]
}

/// As [`columns`] in 64 bits, from norms as they came to columns as they came.
pub(crate) fn plain_columns(sums: PairSums<f64>, [norm, one_norm]: [f64; 2], unit: f64) -> [f64; COLUMNS] {
    let norms = [norm / (unit * unit), one_norm / unit];
    // What overflowed stays not a number.
    let found = columns(sums, norms, |sum| if sum < 0.0 { 0.0 } else { sum });
    Column::ALL.map(|column| column.measure(unit) * found[column as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_made_of_its_sums() {
        let sums = PairSums {
            weight: 2.0,
            squared_weight: 3.0,
            key: [5.0, 11.0, 17.0],
            cross: [7.0, 13.0, 19.0],
            removal: 23.0,
            key_zeroing: 29.0,
            joint_zeroing: 31.0,
        };
        // In units of 2: norms 12 / 4 and 10 / 2; value 3·3, one-norm 2·5, joint 9 + 5 + 2·7 and likewise.
        let found = plain_columns(sums, [12.0, 10.0], 2.0);
        let expected = [
            (Column::Weight, 2.0),
            (Column::Value, 36.0),
            (Column::ValueOneNorm, 20.0),
            (Column::Key, 20.0),
            (Column::Joint, 112.0),
            (Column::JointNoCross, 56.0),
            (Column::KeyLse, 44.0),
            (Column::JointLse, 184.0),
            (Column::KeyMean, 68.0),
            (Column::JointMean, 256.0),
            (Column::Removal, 92.0),
            (Column::KeyZeroing, 116.0),
            (Column::JointZeroing, 124.0),
        ];
        assert_eq!(Column::ALL.map(|column| (column, found[column as usize])), expected);
    }

    #[test]
    fn squares_are_not_below_zero_and_overflow_shows() {
        let sums = PairSums {
            key: [1.0; 3],
            cross: [-2.0; 3],
            joint_zeroing: -1.0,
            ..PairSums::all(0.0)
        };
        let found = plain_columns(sums, [1.0, 1.0], 1.0);
        let squares = [Column::Joint, Column::JointLse, Column::JointMean, Column::JointZeroing];
        assert_eq!(squares.map(|column| found[column as usize]), [0.0; 4]);
        let sums = [Column::Key, Column::JointNoCross, Column::KeyLse, Column::KeyMean];
        assert_eq!(sums.map(|column| found[column as usize]), [1.0; 4]);
        let found = plain_columns(PairSums::all(f64::NAN), [1.0, 1.0], 1.0);
        assert!(found.iter().all(|column| column.is_nan()));
    }

    #[test]
    fn a_column_is_held_by_one_score_and_one_perturbation_at_most() {
        let scores: Vec<Column> = Score::ALL.into_iter().filter_map(Column::of_score).collect();
        let exact: Vec<Column> = Exact::ALL.into_iter().filter_map(Column::of_exact).collect();
        assert_eq!((scores.len(), exact.len()), (11, 4));
        for column in Column::ALL {
            let held = |columns: &[Column]| columns.iter().filter(|other| **other == column).count();
            assert!(
                matches!((held(&scores), held(&exact)), (1, 0) | (0, 1) | (1, 1)),
                "{column:?}"
            );
        }
        assert_eq!(Column::of_score(Score::KeyMean), Some(Column::KeyMean));
        assert_eq!(Column::of_exact(Exact::ValueZeroing), Some(Column::Value));
    }
}
