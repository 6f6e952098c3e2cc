//! Asymmetric min-max quantisation, as caches are quantised in practice: a group of numbers is rounded to 2^b levels, evenly
//! spaced from the least of the group to the greatest.
//!
//! ```text
//! step = (max - min) / (2^b - 1)        x -> min + step · round((x - min) / step)
//! ```
//! Values are grouped along the channels of a token, keys along the tokens of a channel (KIVI, arXiv 2402.02750). The least and
//! the greatest number come out as they went in; the noise of every other is taken as uniform over a step, variance step² / 12.
//! That is exact where the numbers are drawn evenly over the group's range, at any number of bits; it fails where a step is not
//! small against how the numbers bunch up: with 1 bit nearly always (claim C22).

use std::num::NonZero;

use ndarray::{Array2, ArrayViewMut1, Axis};

/// Bits of a number that is stored as it lies, and from which on nothing is rounded.
pub const WHOLE: u8 = 16;

/// Bits that a group spends on its least number and its step, 16 each.
pub const GROUP_BITS: f64 = 32.0;

/// The groups of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiser {
    /// Numbers that share a least number and a step: channels of a value, tokens of a key channel. The last group of a row
    /// or column may be smaller.
    pub group_size: NonZero<usize>,
}

impl Quantiser {
    /// Values with `bits[j]` for token j, shape (kv_len, value_dim).
    ///
    /// From [`WHOLE`] bits on, and at 0, the bits of an evicted token, a token's numbers stay as they are; so they do past the
    /// end of `bits`.
    pub fn values(self, value: &Array2<f64>, bits: &[u8]) -> Array2<f64> {
        self.along(Axis(0), value, bits)
    }

    /// Keys with `bits[c]` for channel c, shape (kv_len, head_dim); groups are of consecutive rows. As [`Quantiser::values`].
    pub fn keys(self, key: &Array2<f64>, bits: &[u8]) -> Array2<f64> {
        self.along(Axis(1), key, bits)
    }

    /// Rounds each lane of index k along `axis` to `bits[k]`.
    fn along(self, axis: Axis, numbers: &Array2<f64>, bits: &[u8]) -> Array2<f64> {
        let mut rounded = numbers.clone();
        for (mut lane, &bits) in rounded.axis_iter_mut(axis).zip(bits) {
            for group in lane.axis_chunks_iter_mut(Axis(0), self.group_size.get()) {
                round(group, bits);
            }
        }
        rounded
    }

    /// Noise of every number of the values at 1 bit, (max - min)² / 12 of its group; at b bits it is this over (2^b - 1)². 0 for
    /// the least and the greatest of a group, which are stored exactly.
    pub fn value_ranges(self, value: &Array2<f64>) -> Array2<f64> {
        self.ranges(Axis(0), value)
    }

    /// The same for keys, shape (kv_len, head_dim).
    pub fn key_ranges(self, key: &Array2<f64>) -> Array2<f64> {
        self.ranges(Axis(1), key)
    }

    fn ranges(self, axis: Axis, numbers: &Array2<f64>) -> Array2<f64> {
        let mut ranges = numbers.clone();
        for mut lane in ranges.axis_iter_mut(axis) {
            for mut group in lane.axis_chunks_iter_mut(Axis(0), self.group_size.get()) {
                let (least, greatest) = ends(group.view());
                let variance = (greatest - least).powi(2) / 12.0;
                group.mapv_inplace(|x| if x == least || x == greatest { 0.0 } else { variance });
            }
        }
        ranges
    }
}

/// The factor on a range's variance that `bits` leave: 1 / (2^b - 1)², and 0 from [`WHOLE`] on. Infinite at 0 bits.
/// Claim C22.
pub fn noise(bits: u8) -> f64 {
    if bits >= WHOLE {
        return 0.0;
    }
    steps(bits).powi(-2)
}

/// Steps between the least and the greatest level.
fn steps(bits: u8) -> f64 {
    f64::from(2u32.pow(u32::from(bits)) - 1)
}

fn ends(group: ndarray::ArrayView1<f64>) -> (f64, f64) {
    let least = group.iter().copied().fold(f64::INFINITY, f64::min);
    (least, group.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn round(mut group: ArrayViewMut1<f64>, bits: u8) {
    if bits == 0 || bits >= WHOLE {
        return;
    }
    let (least, greatest) = ends(group.view());
    let step = (greatest - least) / steps(bits);
    if step > 0.0 {
        group.mapv_inplace(|x| match x {
            x if x == greatest => x,
            x => least + step * ((x - least) / step).round(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn groups_of(size: usize) -> Quantiser {
        Quantiser {
            group_size: NonZero::new(size).unwrap(),
        }
    }

    #[test]
    fn by_hand() {
        // 2 bits from 0 to 6: levels 0, 2, 4, 6; from -1 to 5 with 1 bit: -1, 5.
        let value = array![[0.0, 0.9, 3.1, 6.0], [-1.0, 1.9, 2.1, 5.0]];
        let rounded = groups_of(4).values(&value, &[2, 1]);
        assert_eq!(rounded, array![[0.0, 0.0, 4.0, 6.0], [-1.0, -1.0, 5.0, 5.0]]);
    }

    #[test]
    fn groups_have_their_own_ends_and_the_last_may_be_smaller() {
        let value = array![[0.0, 1.0, 10.0, 14.0, 7.0]];
        assert_eq!(groups_of(2).values(&value, &[1]), value);
        assert_eq!(groups_of(3).values(&value, &[1]), array![[0.0, 0.0, 10.0, 14.0, 7.0]]);
        let column = value.t().to_owned();
        assert_eq!(
            groups_of(9).keys(&column, &[1]).t(),
            array![[0.0, 0.0, 14.0, 14.0, 14.0]]
        );
    }

    #[test]
    fn keys_are_grouped_along_the_tokens() {
        let key = array![[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]];
        assert_eq!(
            groups_of(3).keys(&key, &[1, 4]),
            array![[0.0, 5.0], [0.0, 5.0], [3.0, 5.0]]
        );
    }

    #[test]
    fn whole_and_evicted_numbers_stay() {
        let value = array![[0.1, 0.2, 0.4], [0.1, 0.2, 0.4], [0.1, 0.2, 0.4]];
        assert_eq!(groups_of(3).values(&value, &[0, 16]), value);
        let fine = groups_of(3).values(&value, &[15]);
        assert!(fine != value && (&fine - &value).iter().all(|gap| gap.abs() <= 0.3 / 32767.0 / 2.0));
    }

    #[test]
    fn ends_come_out_as_they_went_in() {
        // -1 + 3 (0.7 / 3) is rounded past -0.3, and a third of the least number above 0 to 0.
        for value in [array![[-1.0, -0.3]], array![[0.0, f64::from_bits(1)]]] {
            assert_eq!(groups_of(2).values(&value, &[2]), value);
        }
    }

    #[test]
    fn ranges_are_variances_of_a_step_over_the_whole_range() {
        let value = array![[-1.0, 1.0, 5.0, 2.0, 2.0, 2.0]];
        assert_eq!(
            groups_of(3).value_ranges(&value),
            array![[0.0, 3.0, 0.0, 0.0, 0.0, 0.0]]
        );
        assert_eq!(groups_of(3).key_ranges(&value), Array2::<f64>::zeros((1, 6)));
        assert_eq!((noise(1), noise(2), noise(16)), (1.0, 1.0 / 9.0, 0.0));
        assert_eq!(noise(0), f64::INFINITY);
    }
}
