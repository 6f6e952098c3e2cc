//! The token that weighs most with a query, computed in 64 bits from what the others leave it.
//!
//! ```text
//! rest = 1 - a        o' = the output without it        v - o = rest (v - o')
//! key  (a f rest)² ‖v - o'‖²      cross  a² f rest v·(v - o')      removal  a² ‖v - o'‖²
//! key zeroing  (w - a)² ‖v - o'‖²      joint zeroing  ‖a (v - o') + w o'‖²      w = its weight at logit 0
//! ```

use pulp::Simd;

use crate::element::Element;
use crate::lanes::{MOST_LANES, Vector};
use crate::pair_sums::PairSums;
use crate::weights::Weights;
use obcache_scores::exact::gain;

/// What one query adds to the column sums of one token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contribution {
    pub token: usize,
    pub sums: PairSums<f64>,
}

/// A token's value against the output without it, in packed units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
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
    /// to `plain`. The value counts in units, less the mean.
    #[inline(always)]
    pub fn new<S: Simd, T: Element>(
        simd: S,
        value: &[T],
        weights: &Weights,
        output: &mut [T],
        plain: &mut Vec<T>,
        (mean, unit): (&[f64], f64),
    ) -> Self {
        let first = plain.len();
        plain.resize(first + output.len(), T::default());
        let plain = &mut plain[first..];
        let splat = |number| Vector::splat(simd, number);
        let shares = Shares::new(weights);
        let [share, visible, hidden] = [shares.sum, shares.visible, shares.hidden].map(splat);
        let [of_first, rest, unit] = [weights.first, weights.rest, unit].map(splat);
        let mut sums = [splat(0.0); 6];
        for channel in (0..output.len()).step_by(Vector::<f64, S>::LANES) {
            let (v, sum) = (wide(simd, &value[channel..]), wide(simd, &output[channel..]) * share);
            let mean = Vector::load(simd, &mean[channel..]);
            let (others, plain_others) = (sum - hidden * mean, sum + visible * mean);
            let (difference, plain_value) = (v - others, v + mean);
            let plain_output = rest * plain_others + of_first * plain_value;
            narrow(rest * others + of_first * v, &mut output[channel..]);
            narrow(unit * plain_output, &mut plain[channel..]);
            let output = wide(simd, &output[channel..]);
            let terms = [
                difference * difference,
                plain_value * difference,
                plain_others * plain_others,
                plain_output * plain_output,
                output * output,
                output * mean,
            ];
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum = *sum + term;
            }
        }
        let [distance, along_value, others_norm, output_norm, packed_norm, along_mean] = sums;
        Self {
            distance: distance.sum(),
            along_value: along_value.sum(),
            others_norm: others_norm.sum(),
            output_norm: output_norm.sum(),
            packed_norm: packed_norm.sum(),
            along_mean: along_mean.sum(),
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

/// The first numbers of a row, in 64 bits.
#[inline(always)]
fn wide<S: Simd, T: Element>(simd: S, numbers: &[T]) -> Vector<f64, S> {
    let mut wide = [0.0; MOST_LANES];
    for (wide, number) in wide.iter_mut().zip(&numbers[..Vector::<f64, S>::LANES]) {
        *wide = number.to_f64();
    }
    Vector::load(simd, &wide)
}

/// To the first numbers of a row, in their storage.
#[inline(always)]
fn narrow<S: Simd, T: Element>(mut wide: Vector<f64, S>, numbers: &mut [T]) {
    for (number, wide) in numbers.iter_mut().zip(wide.lanes()) {
        *number = T::from_f64(*wide);
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
