//! From the sums over pairs to the columns that [`Saliencies`](super::Saliencies) names.

use std::ops::{Add, Mul};

use super::pair_sums::PairSums;

/// Columns of the saliencies.
pub(super) const COLUMNS: usize = 13;

/// The columns of a token, or of a vector of tokens, from its sums and its ‖v‖² and ‖v‖₁, all in units; in the order of
/// `Saliencies::columns_mut`. `squares` puts 0 in the place of what is less.
#[inline(always)]
pub(super) fn columns<N>(sums: PairSums<N>, [norm, one_norm]: [N; 2], squares: impl Fn(N) -> N) -> [N; COLUMNS]
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
pub(super) fn plain_columns(sums: PairSums<f64>, [norm, one_norm]: [f64; 2], unit: f64) -> [f64; COLUMNS] {
    let norms = [norm / (unit * unit), one_norm / unit];
    // What overflowed stays not a number.
    let found = columns(sums, norms, |sum| if sum < 0.0 { 0.0 } else { sum });
    let units = units(unit);
    std::array::from_fn(|column| units[column] * found[column])
}

/// What each column is measured in where values are measured in `unit`.
pub(super) fn units(unit: f64) -> [f64; COLUMNS] {
    let mut units = [unit * unit; COLUMNS];
    (units[0], units[2]) = (1.0, unit);
    units
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
        let expected = [
            2.0, 36.0, 20.0, 20.0, 112.0, 56.0, 44.0, 184.0, 68.0, 256.0, 92.0, 116.0, 124.0,
        ];
        assert_eq!(plain_columns(sums, [12.0, 10.0], 2.0), expected);
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
        assert_eq!([4, 7, 9, 12].map(|column| found[column]), [0.0; 4]);
        assert_eq!([3, 5, 6, 8].map(|column| found[column]), [1.0; 4]);
        let found = plain_columns(PairSums::all(f64::NAN), [1.0, 1.0], 1.0);
        assert!(found.iter().all(|column| column.is_nan()));
    }
}
