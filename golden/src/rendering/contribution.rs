//! What one query adds to the saliency of one token, each operation rounded.
//!
//! ```text
//! value a² ‖v‖²      key a² f² ‖v - o‖²      joint a² ‖v + f (v - o)‖²      removal (a / (1 - a))² ‖v - o‖²
//! key zeroing g² ‖v - o'‖²      joint zeroing ‖a v + g o'‖²      f = slope z, log a, or slope (z - z̄)
//! ```
//! For the token that holds more than half of the weight, 1 - a and o' are summed from the others.

use ndarray::{Array2, ArrayView2, Axis};
use obd_core::AttentionTrace;

use super::deviation::Deviation;
use super::kernel::Rendering;
use super::logits::{capped, kv_head, value_token};
use super::visibility::visible;
use crate::{AttentionProblem, OutputKind};

/// The contributions of a head, shape (query_len, kv_len); 0 where the query does not see the token.
pub(super) fn contributions(
    rendering: Rendering,
    problem: &AttentionProblem,
    head: usize,
    trace: &AttentionTrace,
    kind: OutputKind,
) -> Array2<f64> {
    let value = problem.value.index_axis(Axis(0), kv_head(rendering, problem, head));
    let mut contributions = Array2::zeros((problem.query_len(), problem.kv_len()));
    for i in 0..problem.query_len() {
        let row = RenderedRow::new(rendering, problem, (head, trace), value, i);
        for j in (0..problem.kv_len()).filter(|&j| visible(rendering, problem, i, j)) {
            contributions[[i, j]] = row.contribution(kind, j);
        }
    }
    contributions
}

/// One query with its attention, and what it sees apart from the token that dominates it.
struct RenderedRow<'a> {
    rendering: Rendering,
    problem: &'a AttentionProblem,
    trace: &'a AttentionTrace,
    value: ArrayView2<'a, f64>,
    query: usize,
    dominant: Option<(usize, f64, Vec<f64>)>,
    mean_logit: f64,
}

impl<'a> RenderedRow<'a> {
    fn new(
        rendering: Rendering,
        problem: &'a AttentionProblem,
        (head, trace): (usize, &'a AttentionTrace),
        value: ArrayView2<'a, f64>,
        query: usize,
    ) -> Self {
        let mut row = Self {
            rendering,
            problem,
            trace,
            value,
            query,
            dominant: None,
            mean_logit: 0.0,
        };
        let weights = trace.weights.row(query);
        let dominant = weights.iter().position(|&weight| weight > 0.5);
        row.dominant = dominant
            .filter(|_| !rendering.does(Deviation::RemovalByCancellation))
            .map(|token| row.without(head, token));
        row.mean_logit = row.mean_logit();
        row
    }

    fn round(&self, x: f64) -> f64 {
        self.rendering.round(x)
    }

    /// The token, the weight of the others and the sink, and the average of the others.
    fn without(&self, head: usize, token: usize) -> (usize, f64, Vec<f64>) {
        let mut rest = self.sink_weight(head);
        let mut sums = vec![0.0; self.value.ncols()];
        for (j, &weight) in self.trace.weights.row(self.query).iter().enumerate() {
            if j == token {
                continue;
            }
            rest = self.round(rest + weight);
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum = self.round(*sum + self.round(weight * self.v(j, c)));
            }
        }
        let average = |sum: f64| if rest > 0.0 { self.round(sum / rest) } else { 0.0 };
        (token, rest, sums.into_iter().map(average).collect())
    }

    fn sink_weight(&self, head: usize) -> f64 {
        let sinks = self
            .problem
            .sinks
            .as_ref()
            .filter(|_| !self.rendering.does(Deviation::SinkMissing));
        let log_sum_exp = self.trace.log_sum_exp[self.query];
        match sinks {
            Some(sinks) => self.round(libm::exp(self.round(sinks[head] - log_sum_exp))),
            // No sink: nothing is left for it.
            None => 0.0,
        }
    }

    fn weight(&self, j: usize) -> f64 {
        self.trace.weights[[self.query, j]]
    }

    fn v(&self, j: usize, c: usize) -> f64 {
        self.value[[value_token(self.rendering, self.problem, j), c]]
    }

    fn values(&self, j: usize) -> Vec<f64> {
        (0..self.value.ncols()).map(|c| self.v(j, c)).collect()
    }

    /// `v - o`.
    fn gap(&self, j: usize) -> Vec<f64> {
        let output = self.trace.output.row(self.query);
        let left = |o: f64| {
            if self.rendering.does(Deviation::GapNotSubtracted) {
                0.0
            } else {
                o
            }
        };
        self.values(j)
            .iter()
            .zip(output)
            .map(|(v, &o)| self.round(v - left(o)))
            .collect()
    }

    fn squared_norm(&self, vector: &[f64]) -> f64 {
        let sum = vector.iter().fold(0.0, |sum, &x| self.round(sum + self.round(x * x)));
        if self.rendering.does(Deviation::NormNotSquared) {
            return self.round(sum.sqrt());
        }
        sum
    }

    fn one_norm(&self, vector: &[f64]) -> f64 {
        vector.iter().fold(0.0, |sum, x| self.round(sum + x.abs()))
    }

    fn squared_weight(&self, j: usize) -> f64 {
        let weight = self.weight(j);
        if self.rendering.does(Deviation::WeightNotSquared) {
            return weight;
        }
        self.round(weight * weight)
    }

    fn contribution(&self, kind: OutputKind, j: usize) -> f64 {
        match kind {
            OutputKind::Output | OutputKind::LogSumExp => 0.0,
            OutputKind::Weight => self.weight(j),
            OutputKind::Value => self.value_score(j),
            OutputKind::ValueOneNorm => self.value_one_norm(j),
            OutputKind::Key | OutputKind::KeyLse | OutputKind::KeyMean => self.key(j, self.fall(kind, j)),
            OutputKind::Joint | OutputKind::JointLse | OutputKind::JointMean => self.joint(j, self.fall(kind, j)),
            OutputKind::JointNoCross => self.round(self.value_score(j) + self.key(j, self.fall(kind, j))),
            OutputKind::Removal => self.removal(j),
            OutputKind::KeyZeroing => self.key_zeroing(j),
            OutputKind::JointZeroing => self.joint_zeroing(j),
        }
    }

    fn value_score(&self, j: usize) -> f64 {
        let values = self.values(j);
        if self.rendering.does(Deviation::OneNormForTwo) {
            let norm = self.one_norm(&values);
            return self.round(self.squared_weight(j) * self.round(norm * norm));
        }
        self.round(self.squared_weight(j) * self.squared_norm(&values))
    }

    fn value_one_norm(&self, j: usize) -> f64 {
        let values = self.values(j);
        let norm = if self.rendering.does(Deviation::TwoNormForOne) {
            self.round(self.squared_norm(&values).sqrt())
        } else {
            self.one_norm(&values)
        };
        self.round(self.weight(j) * norm)
    }

    /// f: by how much the softmax input falls, to first order, when the key goes.
    fn fall(&self, kind: OutputKind, j: usize) -> f64 {
        let z = self.trace.logits[[self.query, j]];
        let input = capped(self.rendering, self.problem, z);
        match kind {
            OutputKind::KeyLse | OutputKind::JointLse => {
                let log_weight = self.round(input - self.trace.log_sum_exp[self.query]);
                if self.rendering.does(Deviation::GaugeBase2) {
                    return self.round(log_weight * std::f64::consts::LOG2_E);
                }
                log_weight
            }
            OutputKind::KeyMean | OutputKind::JointMean => self.round(self.slope(z) * self.round(z - self.mean_logit)),
            _ => self.round(self.slope(z) * self.key_logit(z, input)),
        }
    }

    fn key_logit(&self, z: f64, input: f64) -> f64 {
        match self.rendering.deviation {
            Some(Deviation::KeyLogitUnscaled) => self.round(z / self.problem.scale),
            Some(Deviation::KeyLogitCapped) => input,
            _ => z,
        }
    }

    fn slope(&self, z: f64) -> f64 {
        let Some(cap) = self.problem.softcap.filter(|_| {
            !matches!(
                self.rendering.deviation,
                Some(Deviation::KeySlopeMissing | Deviation::SoftcapMissing)
            )
        }) else {
            return 1.0;
        };
        let tanh = self.round(libm::tanh(self.round(z / cap)));
        self.round(1.0 - self.round(tanh * tanh))
    }

    fn mean_logit(&self) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for j in (0..self.problem.kv_len()).filter(|&j| visible(self.rendering, self.problem, self.query, j)) {
            let weight = if self.rendering.does(Deviation::MeanUnweighted) {
                1.0
            } else {
                self.weight(j)
            };
            sum = self.round(sum + self.round(weight * self.trace.logits[[self.query, j]]));
            weights = self.round(weights + weight);
        }
        // Where the sink takes all, every weight is 0 and with it every contribution: any mean will do.
        if weights > 0.0 { self.round(sum / weights) } else { 0.0 }
    }

    fn key(&self, j: usize, fall: f64) -> f64 {
        let factor = self.round(self.squared_weight(j) * self.round(fall * fall));
        self.round(factor * self.gap_norm(j))
    }

    /// `‖v - o‖²`.
    fn gap_norm(&self, j: usize) -> f64 {
        if !self.rendering.does(Deviation::GapExpanded) {
            return self.squared_norm(&self.gap(j));
        }
        let (value, output) = (self.values(j), self.trace.output.row(self.query).to_vec());
        let product = value
            .iter()
            .zip(&output)
            .fold(0.0, |sum, (v, o)| self.round(sum + self.round(v * o)));
        let crossed = self.round(self.squared_norm(&value) - self.round(2.0 * product));
        self.round(crossed + self.squared_norm(&output))
    }

    fn joint(&self, j: usize, fall: f64) -> f64 {
        let (value, gap) = (self.values(j), self.gap(j));
        match self.rendering.deviation {
            Some(Deviation::CrossTermDropped) => {
                return self.round(self.value_score(j) + self.key(j, fall));
            }
            Some(Deviation::GapExpanded) => {
                let product = value
                    .iter()
                    .zip(&gap)
                    .fold(0.0, |sum, (v, g)| self.round(sum + self.round(v * g)));
                let cross = self.round(self.round(2.0 * fall) * self.round(self.squared_weight(j) * product));
                let apart = self.round(self.value_score(j) + self.key(j, fall));
                return self.round(apart + cross);
            }
            _ => (),
        }
        let sign = if self.rendering.does(Deviation::CrossTermSign) {
            -1.0
        } else {
            1.0
        };
        let joint: Vec<f64> = value
            .iter()
            .zip(&gap)
            .map(|(v, g)| self.round(v + self.round(sign * fall * g)))
            .collect();
        self.round(self.squared_weight(j) * self.squared_norm(&joint))
    }

    /// The weight that the others hold, sink included.
    fn rest(&self, j: usize) -> f64 {
        match &self.dominant {
            Some((token, rest, _)) if *token == j => *rest,
            _ => self.round(1.0 - self.weight(j)),
        }
    }

    /// `v - o'`, or where the token does not dominate, `(v - o) / (1 - a)`.
    fn gap_to_others(&self, j: usize) -> Vec<f64> {
        match &self.dominant {
            Some((token, _, others)) if *token == j => self
                .values(j)
                .iter()
                .zip(others)
                .map(|(v, o)| self.round(v - o))
                .collect(),
            _ => {
                let rest = self.rest(j);
                self.gap(j).iter().map(|gap| self.round(gap / rest)).collect()
            }
        }
    }

    fn removal(&self, j: usize) -> f64 {
        let squared = self.squared_weight(j);
        match self.rendering.deviation {
            Some(Deviation::RemovalNotRenormalised) => self.value_score(j),
            Some(Deviation::RemovalFirstOrder) => self.round(squared * self.squared_norm(&self.gap(j))),
            Some(Deviation::RemovalSoleToken) if self.rest(j) == 0.0 => f64::NAN,
            Some(Deviation::GapExpanded | Deviation::RemovalByCancellation) => {
                let odds = self.round(self.weight(j) / self.rest(j));
                self.round(self.round(odds * odds) * self.gap_norm(j))
            }
            _ => self.round(squared * self.squared_norm(&self.gap_to_others(j))),
        }
    }

    /// g, the weight that the token wins when its logit goes to 0: `a rest (e^-t - 1) / (rest + a e^-t)`.
    fn gain(&self, j: usize) -> f64 {
        let logit = capped(self.rendering, self.problem, self.trace.logits[[self.query, j]]);
        let (weight, rest) = (self.weight(j), self.rest(j));
        if rest == 0.0 {
            return 0.0;
        }
        match self.rendering.deviation {
            Some(Deviation::KeyZeroingRemoves) => return -weight,
            Some(Deviation::ZeroingFirstOrder) => return -self.round(weight * self.round(logit * rest)),
            _ => (),
        }
        if logit < 0.0 {
            // With e^lse in place of e^t / a: what is finite where a underflowed.
            let unit = self.round(libm::exp(self.trace.log_sum_exp[self.query]));
            let change = self.round(libm::expm1(logit));
            return self.round(-self.round(rest * change) / self.round(self.round(rest * unit) + 1.0));
        }
        let change = self.round(libm::expm1(-logit));
        let odds = self.round(weight * self.round(libm::exp(-logit)));
        self.round(self.round(self.round(weight * rest) * change) / self.round(rest + odds))
    }

    fn key_zeroing(&self, j: usize) -> f64 {
        let gain = self.gain(j);
        self.round(self.round(gain * gain) * self.squared_norm(&self.gap_to_others(j)))
    }

    fn joint_zeroing(&self, j: usize) -> f64 {
        let (gain, weight, rest) = (self.gain(j), self.weight(j), self.rest(j));
        let output = self.trace.output.row(self.query);
        let others = match &self.dominant {
            Some((token, _, others)) if *token == j => others.clone(),
            _ => {
                let kept = self.values(j).into_iter().zip(output);
                kept.map(|(v, o)| self.round(self.round(o - self.round(weight * v)) / rest))
                    .collect()
            }
        };
        let change = self.values(j).into_iter().zip(others);
        let change: Vec<f64> = change
            .map(|(v, o)| self.round(self.round(weight * v) + self.round(gain * o)))
            .collect();
        self.squared_norm(&change)
    }
}
