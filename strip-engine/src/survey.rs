//! What has to be known of all tokens before one is packed: their norms, their unit, and what they have in common.

use crate::element::Element;
use crate::partial_sums::sum;
use crate::tensor_rows::TensorRows;

/// What has to be known of all tokens before one is packed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// The channels of the keys and of the values.
    pub keys: Vec<Channel>,
    pub values: Vec<Channel>,
    /// ‖v‖² and ‖v‖₁ of the values as they came.
    pub plain_norms: Vec<[f64; 2]>,
}

/// One channel of all tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    sum: f64,
    least: f64,
    greatest: f64,
}

impl Channel {
    const EMPTY: Self = Self {
        sum: 0.0,
        least: f64::INFINITY,
        greatest: f64::NEG_INFINITY,
    };

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            least: if other.least < self.least {
                other.least
            } else {
                self.least
            },
            greatest: if other.greatest > self.greatest {
                other.greatest
            } else {
                self.greatest
            },
        }
    }

    /// The mean of so many tokens, rounded to the storage, where all lie within a factor of 2 of it: there it is
    /// subtracted without rounding (Sterbenz). Else 0.
    fn common<T: Element>(self, tokens: usize) -> f64 {
        let mean = T::from_f64(self.sum / tokens as f64).to_f64();
        let (nearest, farthest) = if mean > 0.0 {
            (self.least, self.greatest)
        } else {
            (-self.greatest, -self.least)
        };
        if 0.5 * mean.abs() <= nearest && farthest <= 2.0 * mean.abs() {
            mean
        } else {
            0.0
        }
    }
}

impl Survey {
    /// Bytes of a survey of so many channels, but for the norms.
    pub fn bytes(channels: usize) -> usize {
        size_of::<Self>() + channels * size_of::<Channel>()
    }

    #[inline(always)]
    pub fn new<T: Element>(keys: TensorRows<T>, values: TensorRows<T>) -> Self {
        let norms = values.rows().map(|value| [sum(value, |v| v * v), sum(value, f64::abs)]);
        Self {
            plain_norms: norms.collect(),
            keys: channels(keys),
            values: channels(values),
        }
    }
}

#[inline(always)]
fn channels<T: Element>(rows: TensorRows<T>) -> Vec<Channel> {
    let mut channels = vec![Channel::EMPTY; rows.width];
    for row in rows.rows() {
        for (channel, element) in channels.iter_mut().zip(row) {
            let (sum, least, greatest) = (element.to_f64(), element.to_f64(), element.to_f64());
            *channel = channel.and(Channel { sum, least, greatest });
        }
    }
    channels
}

/// What the tokens share, channel by channel.
pub(crate) fn common<'a, T: Element>(surveys: impl Iterator<Item = &'a Vec<Channel>>, tokens: usize) -> Vec<f64> {
    let all = surveys.cloned().reduce(|mut all, channels| {
        all.iter_mut()
            .zip(channels)
            .for_each(|(all, channel)| *all = all.and(channel));
        all
    });
    let all = all.expect("a problem has tokens");
    all.into_iter().map(|channel| channel.common::<T>(tokens)).collect()
}

/// A power of two that no value's length exceeds by much, from the largest ‖v‖²; 1 where all are 0.
pub(crate) fn unit(largest: f64) -> f64 {
    if largest > 0.0 {
        (0.5 * largest.log2()).ceil().exp2()
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{CowArray, array};

    fn channel(numbers: &[f64]) -> Channel {
        let one = |&number: &f64| Channel {
            sum: number,
            least: number,
            greatest: number,
        };
        numbers.iter().map(one).reduce(Channel::and).unwrap()
    }

    #[test]
    fn a_channel_knows_its_sum_and_its_ends() {
        let all = channel(&[3.0, -1.0, 2.0]);
        assert_eq!((all.sum, all.least, all.greatest), (4.0, -1.0, 3.0));
        let all = channel(&[-1.0, 2.0, 5.0]);
        assert_eq!((all.sum, all.least, all.greatest), (6.0, -1.0, 5.0));
    }

    #[test]
    fn channels_are_those_of_all_rows() {
        let rows = array![[1.0, -2.0], [4.0, 8.0], [2.0, 0.5]];
        let found = channels(TensorRows::new(&CowArray::from(rows.view())));
        let found: Vec<_> = found.iter().map(|all| (all.sum, all.least, all.greatest)).collect();
        assert_eq!(found, [(7.0, 1.0, 4.0), (6.5, -2.0, 8.0)]);
    }

    #[test]
    fn what_lies_within_a_factor_of_two_of_its_mean_is_in_common() {
        let common = |numbers: &[f64]| channel(numbers).common::<f64>(numbers.len());
        assert_eq!((common(&[2.0, 4.0]), common(&[-2.0, -4.0])), (3.0, -3.0));
        // Both ends of the range: 10 is half of 20, 40 twice 20.
        assert_eq!(common(&[10.0, 10.0, 40.0]), 20.0);
        assert_eq!(common(&[9.0, 11.0, 40.0]), 0.0);
        assert_eq!(common(&[11.0, 11.0, 11.0, 47.0]), 0.0);
        assert_eq!(common(&[-11.0, -11.0, -11.0, -47.0]), 0.0);
        assert_eq!((common(&[-1.0, 1.0]), common(&[0.0, 0.0])), (0.0, 0.0));
        assert_eq!(channel(&[0.1]).common::<f32>(1), f64::from(0.1f32));
    }
}
