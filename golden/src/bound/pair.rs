//! The pairs of one query with its tokens: what each adds to a saliency, and how far that may be off (section 5 of the
//! derivation).

use super::average::Average;
use super::contribution::Contribution;
use super::scalar::Scalar;
use super::softmax_row::SoftmaxRow;
use super::vector::Vector;
use crate::OutputKind;

/// All pairs of one query with what their contributions are made of.
pub(super) struct Pairs<'a> {
    row: &'a SoftmaxRow<'a>,
    kind: OutputKind,
    average: Average<'a>,
    denominator: f64,
    /// The token that holds more than half of the weight, with the average of the others.
    dominant: Option<(usize, Average<'a>)>,
    mean_logit: Option<Average<'a>>,
}

impl<'a> Pairs<'a> {
    pub fn new(row: &'a SoftmaxRow<'a>, kind: OutputKind) -> Self {
        let average = Average::of_values(row);
        let dominant = row.weights.iter().position(|&weight| weight > 0.5);
        let mean = matches!(kind, OutputKind::KeyMean | OutputKind::JointMean);
        Self {
            denominator: average.log_sum_exp(),
            dominant: dominant.map(|place| (place, Average::without(row, place))),
            mean_logit: mean.then(|| Average::of_logits(row)),
            average,
            row,
            kind,
        }
    }

    pub fn contribution(&self, place: usize) -> Contribution {
        let weight = self.weight(place);
        let value = || self.value(place);
        let additions = self.channel_additions(place);
        match self.kind {
            OutputKind::Output | OutputKind::LogSumExp => Contribution::default(),
            OutputKind::Weight => Contribution::product(weight.size, weight.relative()),
            OutputKind::ValueOneNorm => {
                let norm: f64 = value().elements.iter().map(|v| v.abs()).sum();
                let relative = weight.relative() + additions.sqrt() + self.row.judged.arithmetic.entry() + 2.0;
                Contribution::product(weight.size * norm, relative)
            }
            OutputKind::Value => Contribution::squared_norm(&[weight.of(&value())], additions),
            OutputKind::Key | OutputKind::KeyLse | OutputKind::KeyMean => self.key(place),
            OutputKind::Joint | OutputKind::JointLse | OutputKind::JointMean => {
                let fall = weight.times(self.fall(place));
                Contribution::squared_norm(&[weight.of(&value()), fall.of(&self.gap(place))], additions)
            }
            OutputKind::JointNoCross => {
                Contribution::squared_norm(&[weight.of(&value())], additions).plus(self.key(place))
            }
            OutputKind::Removal => Contribution::squared_norm(&[weight.of(&self.without(place).0)], additions),
            OutputKind::KeyZeroing => {
                Contribution::squared_norm(&[self.gain(place).of(&self.without(place).0)], additions)
            }
            OutputKind::JointZeroing => {
                let others = self.without(place).1;
                Contribution::squared_norm(&[weight.of(&value()), self.gain(place).of(&others)], additions)
            }
        }
    }

    /// `a² f² ‖v - o‖²`.
    fn key(&self, place: usize) -> Contribution {
        let factor = self.weight(place).times(self.fall(place));
        Contribution::squared_norm(&[factor.of(&self.gap(place))], self.channel_additions(place))
    }

    fn channel_additions(&self, place: usize) -> f64 {
        let judged = self.row.judged;
        let value = judged.head.value().row(self.row.tokens[place]);
        let zeros = value.iter().filter(|&&v| v == 0.0).count() as f64;
        judged.value_ties[self.row.tokens[place]] + zeros * zeros
    }

    fn weight(&self, place: usize) -> Scalar {
        let relative = self.average.log_weight(place, self.denominator);
        let unit = self.row.judged.arithmetic.unit();
        // The weight is off by exp of its logarithm's error: the higher orders are kept.
        let size = self.row.weights[place];
        Scalar {
            size,
            sensitivity: size * (unit * relative).exp_m1() / unit,
        }
    }

    /// By how much the softmax input falls, to first order, when the key goes: `slope z`, `log a` or `slope (z - z̄)`.
    fn fall(&self, place: usize) -> Scalar {
        let row = self.row;
        let (i, j) = (row.query, row.tokens[place]);
        let z = row.judged.trace.logits[[i, j]];
        let logit = Scalar {
            size: z,
            sensitivity: row.logit[place].sqrt(),
        };
        if matches!(self.kind, OutputKind::KeyLse | OutputKind::JointLse) {
            let log_sum_exp = row.judged.trace.log_sum_exp[i];
            let size = row.input(place) - log_sum_exp;
            let weight = self.average.log_weight(place, self.denominator);
            let roundings = weight.powi(2) + row.input(place).powi(2) + log_sum_exp.powi(2) + size * size;
            return Scalar {
                size,
                sensitivity: roundings.sqrt(),
            };
        }
        let above = match &self.mean_logit {
            None => logit,
            Some(mean) => Scalar {
                size: z - mean.output[0],
                sensitivity: logit.sensitivity + self.mean_sensitivity(mean) + (z - mean.output[0]).abs(),
            },
        };
        above.times(self.slope(z, logit.sensitivity))
    }

    /// The derivative of the soft-cap: `1 - tanh²` cancels where tanh nears 1, an absolute error of some roundings.
    fn slope(&self, z: f64, logit: f64) -> Scalar {
        let Some(cap) = self.row.judged.head.softcap() else {
            return Scalar {
                size: 1.0,
                sensitivity: 0.0,
            };
        };
        let tanh = (z / cap.cap()).tanh();
        let slope = cap.slope(z);
        let evaluated = 2.0 * tanh * tanh * (self.row.judged.arithmetic.function() + 1.0) + 1.0;
        let moved = 2.0 * tanh.abs() * slope * (logit + z.abs()) / cap.cap();
        Scalar {
            size: slope,
            sensitivity: evaluated + moved,
        }
    }

    /// Sensitivity of the mean logit: of the weights, of the logits themselves, and of the sum.
    fn mean_sensitivity(&self, mean: &Average<'_>) -> f64 {
        let row = self.row;
        let total: f64 = row.weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let classes = row.class.iter().map(|&class| mean.mass(class));
        let logits = row.weights.iter().zip(&row.logit).zip(classes);
        let logits: f64 = logits
            .map(|((weight, variance), mass)| weight / total * mass * variance)
            .sum();
        mean.tolerance(0) / row.judged.arithmetic.unit() + logits.sqrt()
    }

    fn value(&self, place: usize) -> Vector {
        let value = self.row.judged.head.value().row(self.row.tokens[place]).to_vec();
        let entry = self.row.judged.arithmetic.entry();
        Vector {
            anywhere: 0.0,
            along: Vec::new(),
            independent: value.iter().map(|v| (entry * v).powi(2)).collect(),
            elements: value,
        }
    }

    /// `v - o`: off by the output's error, and rounded.
    fn gap(&self, place: usize) -> Vector {
        self.value(place).minus(self.average.vector())
    }

    /// `v - o'` and `o'`, with o' the output without the token.
    fn without(&self, place: usize) -> (Vector, Vector) {
        let value = self.value(place);
        if let Some((_, others)) = self.dominant.as_ref().filter(|(dominant, _)| *dominant == place) {
            return (value.minus(others.vector()), others.vector());
        }
        // o' = (o - a v) / rest and v - o' = (v - o) / rest, off by the errors of o and of rest = 1 - a.
        let weight = self.weight(place);
        let rest = 1.0 - weight.size;
        let gap = self.gap(place);
        let mut gap = gap.scaled(1.0 / rest);
        gap.along.push((weight.sensitivity / rest + 2.0, gap.elements.clone()));
        let others = value
            .elements
            .iter()
            .zip(&gap.elements)
            .map(|(v, gap)| v - gap)
            .collect();
        let rounded = value.elements.iter().zip(&gap.independent);
        let others = Vector {
            independent: rounded
                .map(|(v, variance)| variance + (weight.size * v / rest).powi(2))
                .collect(),
            elements: others,
            ..gap.clone()
        };
        (gap, others)
    }

    /// The weight that the others hold, by its logarithm.
    fn rest(&self, place: usize) -> Scalar {
        let weight = self.weight(place);
        match &self.dominant {
            Some((dominant, others)) if *dominant == place => {
                let size = self.rest_of_dominant(place);
                let exponents = others.exponents.sqrt() + self.row.exponent[place].sqrt();
                let sums = (others.denominator + self.average.common).sqrt();
                let flushed = self.row.weights.len() as f64 * self.row.judged.arithmetic.accumulate.smallest_normal();
                Scalar {
                    size,
                    sensitivity: size * (weight.size * exponents + sums) + flushed / self.row.judged.arithmetic.unit(),
                }
            }
            _ => Scalar {
                size: 1.0 - weight.size,
                sensitivity: weight.sensitivity + 1.0,
            },
        }
    }

    fn rest_of_dominant(&self, place: usize) -> f64 {
        let others = self.row.weights.iter().enumerate().filter(|(other, _)| *other != place);
        others.map(|(_, weight)| weight).sum::<f64>() + self.row.sink_weight()
    }

    /// g, the weight that the token wins when its logit goes to 0: its weight at logit 0, less a.
    fn gain(&self, place: usize) -> Scalar {
        let row = self.row;
        let (i, j) = (row.query, row.tokens[place]);
        let bias = row.judged.head.bias(i, j);
        let capped = row.input(place) - bias;
        let (weight, rest) = (self.weight(place), self.rest(place));
        let others = (rest.size.ln() + row.judged.trace.log_sum_exp[i] - bias).exp();
        let at_zero = 1.0 / (1.0 + others);
        let size = if capped < 0.0 {
            -at_zero * rest.size * capped.exp_m1()
        } else {
            (1.0 - at_zero) * weight.size * (-capped).exp_m1()
        };
        let function = row.judged.arithmetic.function();
        let exponential = 1.0 / capped.exp_m1().abs().max(f64::MIN_POSITIVE);
        let logit = row.capped_sensitivity(place).hypot(function);
        let weight = (1.0 - at_zero) * self.average.log_weight(place, self.denominator);
        let relative = weight + at_zero * rest.relative() + function + 3.0;
        // Where the logit is nearly 0 the gain is a first-order term of it, off by the logit's own error.
        let absolute = (size * (exponential + at_zero) * logit).abs();
        let at_rest = self.row.weights[place] * rest.size * logit;
        Scalar {
            size,
            sensitivity: size.abs() * relative + if capped == 0.0 { at_rest } else { absolute },
        }
    }

    /// Underflow: a weight, its square and every squared channel may be flushed to 0.
    pub fn floor(&self, place: usize) -> f64 {
        let tiny = self.row.judged.arithmetic.accumulate.smallest_normal();
        let value = &self.value(place).elements;
        let largest = value
            .iter()
            .zip(&self.average.output)
            .map(|(v, o)| v.abs() + o.abs())
            .fold(1.0, f64::max);
        let stretch = 1.0 + self.row.judged.trace.logits[[self.row.query, self.row.tokens[place]]].abs();
        tiny * value.len() as f64 * (largest * stretch).powi(2)
    }
}
