//! The token that weighs most with a query, computed in 64 bits from what the others leave it.
//!
//! ```text
//! rest = 1 - a        o' = the output without it        v - o = rest (v - o')
//! key  (a f rest)² ‖v - o'‖²      cross  a² f rest v·(v - o')      removal  a² ‖v - o'‖²
//! key zeroing  (w - a)² ‖v - o'‖²      joint zeroing  ‖a (v - o') + w o'‖²      w = its weight at logit 0
//! ```

use super::element::Element;
use super::packed::LANES;
use super::pair_sums::PairSums;
use super::row::Weights;
use crate::exact::gain;

/// What one query adds to the column sums of one token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contribution {
    pub token: usize,
    pub sums: PairSums<f64>,
}

/// A token's value against the output without it, in packed units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// ‖v - o'‖².
    distance: f64,
    /// v·(v - o').
    along_value: f64,
    /// ‖o'‖².
    others_norm: f64,
    /// ‖o‖².
    pub output_norm: f64,
    /// ‖o - mean‖² and mean·(o - mean), o as it is packed.
    pub packed_norm: f64,
    pub along_mean: f64,
}

impl Gap {
    /// Also turns `output` from the sum of e^x v over the others into the packed output, and appends the output itself
    /// to `plain`. The value counts in units, less the mean. Sums over channels are [`LANES`] partial sums.
    #[inline(always)]
    pub fn new<T: Element>(
        value: &[T],
        weights: &Weights,
        output: &mut [T],
        plain: &mut Vec<T>,
        (mean, unit): (&[f64], f64),
    ) -> Self {
        let first = plain.len();
        plain.resize(first + output.len(), T::default());
        let plain = plain[first..].as_chunks_mut::<LANES>().0.iter_mut();
        let values = value.as_chunks::<LANES>().0.iter();
        let outputs = output.as_chunks_mut::<LANES>().0.iter_mut();
        let means = mean.as_chunks::<LANES>().0.iter();
        let shares = Shares::new(weights);
        let mut sums = [[0.0; LANES]; 6];
        for (((values, outputs), means), plain) in values.zip(outputs).zip(means).zip(plain) {
            for lane in 0..LANES {
                let (v, mean) = (values[lane].to_f64(), means[lane]);
                let sum = outputs[lane].to_f64() * shares.sum;
                let (others, plain_others) = (sum - shares.hidden * mean, sum + shares.visible * mean);
                let difference = v - others;
                let plain_output = weights.rest * plain_others + weights.first * (v + mean);
                sums[0][lane] += difference * difference;
                sums[1][lane] += (v + mean) * difference;
                sums[2][lane] += plain_others * plain_others;
                sums[3][lane] += plain_output * plain_output;
                let packed_output = T::from_f64(weights.rest * others + weights.first * v);
                sums[4][lane] += packed_output.to_f64() * packed_output.to_f64();
                sums[5][lane] += packed_output.to_f64() * mean;
                outputs[lane] = packed_output;
                plain[lane] = T::from_f64(unit * plain_output);
            }
        }
        let [distance, along_value, others_norm, output_norm, packed_norm, along_mean] =
            sums.map(|lanes| lanes.iter().sum());
        Self {
            distance,
            along_value,
            others_norm,
            output_norm,
            packed_norm,
            along_mean,
        }
    }

    /// Column sums of the first token, whose stored logit is `logit`.
    pub fn contributions(&self, weights: &Weights, logit: f64) -> PairSums<f64> {
        let Weights { first: a, rest, .. } = *weights;
        let z = logit + weights.offset;
        // From what the others weigh against a logit of 0, which stands where `rest` underflows.
        let log_odds = weights.total.ln() + weights.others.shift + weights.offset;
        let zeroed = 1.0 / (1.0 + log_odds.exp());
        let gain = gain(a, rest, z, weights.log_sum_exp.exp(), || log_odds);
        let factors = [z, weights.log_first, weights.first_above_mean].map(|f| a * f * rest);
        let removal = a * a * self.distance;
        let key_zeroing = gain * gain * self.distance;
        let along_others = self.along_value - self.distance;
        let joint_zeroing = removal + zeroed * (2.0 * a * along_others + zeroed * self.others_norm);
        PairSums {
            weight: a,
            squared_weight: a * a,
            key: factors.map(|factor| factor * factor * self.distance),
            cross: factors.map(|factor| a * factor * self.along_value),
            removal,
            key_zeroing,
            joint_zeroing,
        }
    }
}

/// How the output without the first token, packed and plain, is made of the sum of e^x v and the mean value.
struct Shares {
    /// Factor on the sum.
    sum: f64,
    /// Weight of the visible others, whose packed values lack the mean, among all others.
    visible: f64,
    /// Weight of the sink, which has no value.
    hidden: f64,
}

impl Shares {
    /// Nobody at all leaves the output 0, as a sink alone would.
    fn new(weights: &Weights) -> Self {
        let (visible, total) = (weights.others.sum, weights.total);
        if total > 0.0 {
            Self {
                sum: 1.0 / total,
                visible: visible / total,
                hidden: (total - visible) / total,
            }
        } else {
            Self {
                sum: 0.0,
                visible: 0.0,
                hidden: 1.0,
            }
        }
    }
}
