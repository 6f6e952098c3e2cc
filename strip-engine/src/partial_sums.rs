//! Sums over the channels of a row, in partial sums side by side, so that no addition waits for the one before.

use crate::element::Element;

/// Channels of values come in such multiples, and sums over them are that many partial sums.
pub(crate) const LANES: usize = 8;

/// Channels with those that fill them up.
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// Sum over a row in [`LANES`] partial sums, so that no addition waits for the one before.
#[inline(always)]
pub(crate) fn sum<T: Element>(row: &[T], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane].to_f64());
        }
    }
    for (sum, v) in sums.iter_mut().zip(rest) {
        *sum += term(v.to_f64());
    }
    sums.iter().sum()
}

/// Product of a row and a mean row, in partial sums likewise.
#[inline(always)]
pub(crate) fn dot<T: Element>(row: &[T], mean: &[f64]) -> f64 {
    let (row, row_rest) = row.as_chunks::<LANES>();
    let (mean, mean_rest) = mean.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (row, mean) in row.iter().zip(mean) {
        for lane in 0..LANES {
            sums[lane] += row[lane].to_f64() * mean[lane];
        }
    }
    for ((sum, element), mean) in sums.iter_mut().zip(row_rest).zip(mean_rest) {
        *sum += element.to_f64() * mean;
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_a_row_take_in_what_the_lanes_leave_over() {
        let row: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((sum(&row, |v| v * v), sum(&row[..3], f64::abs)), (385.0, 6.0));
        assert_eq!((dot(&row, &row), dot(&row[..3], &row[..3])), (385.0, 14.0));
    }
}
