//! A softmax average of values, and how far a good kernel's may be off.
//!
//! To first order the error of `o = Σ a_l v_l` is `Σ a_l (v_l - o) ε_l`, with ε_l the error of the logarithm of each
//! exponential, plus what sum, products and division round (section 4 of the derivation).

use ndarray::{Array2, ArrayView1, Axis};

use super::softmax_row::SoftmaxRow;
use super::ties::sum_variance;
use super::vector::Vector;

/// An average of values under softmax weights, with its squared sensitivities, per channel.
pub(super) struct Average<'a> {
    row: &'a SoftmaxRow<'a>,
    /// The average itself.
    pub output: Vec<f64>,
    /// Variance of `Σ a_l ε_l`, the exponentials' part of the log of the denominator.
    pub exponents: f64,
    /// Roundings of the sum of exponentials, those of equal terms counted as one.
    pub additions: f64,
    /// Variance of the roundings of that sum.
    pub denominator: f64,
    /// Variance of what all channels share: the roundings of the denominator and the division, relative to the output.
    pub common: f64,
    /// Variance of `Σ a_l (v_l - o) ε_l`.
    coherent: Vec<f64>,
    /// Variance of the channel's own roundings.
    pub independent: Vec<f64>,
    /// The remainder of second order, `Σ a_l |v_l - o| (ε_l² + (Σ a ε)²)`.
    second: Vec<f64>,
    /// Underflow: every weight and every product may be flushed to 0.
    floor: Vec<f64>,
    /// Largest magnitude of the averaged values.
    largest: Vec<f64>,
    masses: Vec<f64>,
}

impl<'a> Average<'a> {
    /// The output of a query.
    pub fn of_values(row: &'a SoftmaxRow<'a>) -> Self {
        let judged = row.judged;
        Self::new(
            row,
            row.weights.clone(),
            row.sink,
            judged.head.value(),
            &judged.column_ties,
        )
    }

    /// What the output would be without the token at `place`.
    pub fn without(row: &'a SoftmaxRow<'a>, place: usize) -> Self {
        let mut weights = row.weights.clone();
        weights[place] = 0.0;
        let rest: f64 = weights.iter().sum::<f64>() + row.sink_weight();
        let share = |weight: f64| if rest > 0.0 { weight / rest } else { 0.0 };
        let sink = row.sink.map(|(weight, exponent)| (share(weight), exponent));
        let weights = weights.into_iter().map(share).collect();
        let average = Self::new(row, weights, sink, row.judged.head.value(), &row.judged.column_ties);
        average.magnified(rest)
    }

    /// The mean of the logits over the tokens, the sink apart.
    pub fn of_logits(row: &'a SoftmaxRow<'a>) -> Self {
        let logits = row.judged.trace.logits.row(row.query).insert_axis(Axis(1)).to_owned();
        let total: f64 = row.weights.iter().sum();
        let share = |weight: &f64| if total > 0.0 { weight / total } else { 0.0 };
        let weights = row.weights.iter().map(share).collect();
        Self::new(row, weights, None, &logits, &[f64::INFINITY])
    }

    /// `weights` by place in the row's list of tokens, `values` of shape (kv_len, channels), `column_ties` per channel.
    fn new(
        row: &'a SoftmaxRow<'a>,
        weights: Vec<f64>,
        sink: Option<(f64, f64)>,
        values: &Array2<f64>,
        column_ties: &[f64],
    ) -> Self {
        let channels = values.ncols();
        let mut average = Self {
            row,
            output: vec![0.0; channels],
            exponents: 0.0,
            additions: 0.0,
            denominator: 0.0,
            common: 0.0,
            coherent: vec![0.0; channels],
            independent: vec![0.0; channels],
            second: vec![0.0; channels],
            floor: vec![0.0; channels],
            largest: vec![0.0; channels],
            masses: Vec::new(),
        };
        average.sum(&weights, values);
        average.sum_exponentials(&weights, sink);
        average.numerator(&weights, values);
        average.roundings(&weights, values, column_ties);
        average
    }

    /// Weight of all exponentials of a class.
    pub fn mass(&self, class: usize) -> f64 {
        self.masses[class]
    }

    /// Variance of the log-sum-exp of the row whose output this is.
    pub fn log_sum_exp(&self) -> f64 {
        self.exponents + self.denominator + self.row.logarithm()
    }

    /// Sensitivity of the logarithm of the weight at `place`; `denominator` is [`Average::log_sum_exp`].
    pub fn log_weight(&self, place: usize, denominator: f64) -> f64 {
        let (variance, mass) = (self.row.exponent[place], self.mass(self.row.class[place]));
        let others = denominator - mass * mass * variance;
        ((1.0 - mass).powi(2) * variance + others.max(0.0) + 2.0).sqrt()
    }

    /// The average itself, with its errors.
    pub fn vector(&self) -> Vector {
        Vector {
            elements: self.output.clone(),
            anywhere: self.coherent_norm(),
            along: vec![(self.common.sqrt(), self.output.clone())],
            independent: self.independent.clone(),
        }
    }

    /// Tolerance of one channel before it is stored.
    pub fn tolerance(&self, c: usize) -> f64 {
        let unit = self.row.judged.arithmetic.unit();
        let common = self.output[c].powi(2) * self.common;
        let first = (self.coherent[c] + self.independent[c] + common).sqrt();
        unit * first + unit * unit * self.second[c] + self.floor[c]
    }

    /// Length of the error that comes of the exponents and of underflow, in any direction.
    fn coherent_norm(&self) -> f64 {
        let unit = self.row.judged.arithmetic.unit();
        let norm = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>().sqrt();
        self.coherent.iter().sum::<f64>().sqrt() + unit * norm(&self.second) + norm(&self.floor) / unit
    }

    /// The average of what is left when one weight takes all but `rest`: what underflows is `1 / rest` times as large a
    /// part of it. Where all of it underflows the result may be any value, or 0.
    fn magnified(mut self, rest: f64) -> Self {
        for (floor, limit) in self.floor.iter_mut().zip(&self.largest) {
            *floor = (*floor / rest.max(f64::MIN_POSITIVE)).min(2.0 * limit);
        }
        self
    }

    fn terms<'v>(&self, weights: &[f64], values: &'v Array2<f64>) -> Vec<(usize, f64, ArrayView1<'v, f64>)> {
        let tokens = self.row.tokens.iter().zip(weights).enumerate();
        tokens
            .map(|(place, (&j, &weight))| (place, weight, values.row(j)))
            .collect()
    }

    fn sum(&mut self, weights: &[f64], values: &Array2<f64>) {
        for (_, weight, value) in self.terms(weights, values) {
            for (output, v) in self.output.iter_mut().zip(value) {
                *output += weight * v;
            }
        }
    }

    /// Equal exponentials have equal errors: the masses of a class add before they are squared. An addition is never off
    /// by more than what it adds, so terms below the roundoff count for less than one.
    fn sum_exponentials(&mut self, weights: &[f64], sink: Option<(f64, f64)>) {
        let row = self.row;
        let u = row.judged.arithmetic.accumulate.unit_roundoff();
        self.masses = vec![0.0; row.classes];
        let mut sizes = vec![0.0; row.classes];
        let mut variances = vec![0f64; row.classes];
        for (place, &class) in row.class.iter().enumerate() {
            self.masses[class] += weights[place];
            sizes[class] += (weights[place] / u).min(1.0);
            variances[class] = variances[class].max(row.exponent[place]);
        }
        // No sink: a term of weight 0.
        let (sink_weight, sink_variance) = sink.unwrap_or((0.0, 0.0));
        let parts = self.masses.iter().zip(&variances);
        self.exponents =
            parts.map(|(mass, variance)| mass * mass * variance).sum::<f64>() + sink_weight.powi(2) * sink_variance;
        self.additions = sizes.iter().map(|size| size * size).sum::<f64>() + row.rescalings;
        let squares = weights.iter().map(|weight| weight * weight).sum();
        self.denominator = sum_variance(self.additions, 1.0, squares);
        self.common = self.denominator + 2.0;
    }

    fn numerator(&mut self, weights: &[f64], values: &Array2<f64>) {
        let row = self.row;
        let channels = self.output.len();
        let mut moments = vec![0.0; self.masses.len() * channels];
        let mut variances = vec![0f64; self.masses.len()];
        for (place, weight, value) in self.terms(weights, values) {
            let class = row.class[place];
            let variance = row.exponent[place];
            variances[class] = variances[class].max(variance);
            let moment = &mut moments[class * channels..][..channels];
            for (c, v) in value.iter().enumerate() {
                let part = weight * (v - self.output[c]);
                moment[c] += part;
                self.second[c] += part.abs() * (variance + self.exponents);
            }
        }
        for (moment, variance) in moments.chunks(channels.max(1)).zip(variances) {
            for (coherent, part) in self.coherent.iter_mut().zip(moment) {
                *coherent += part * part * variance;
            }
        }
    }

    fn roundings(&mut self, weights: &[f64], values: &Array2<f64>, column_ties: &[f64]) {
        let arithmetic = self.row.judged.arithmetic;
        let tiny = arithmetic.accumulate.smallest_normal();
        let products = 2.0 + arithmetic.entry().powi(2);
        let mut squares = vec![0.0; self.output.len()];
        for (_, weight, value) in self.terms(weights, values) {
            for (c, v) in value.iter().enumerate() {
                squares[c] += (weight * v).powi(2);
                self.floor[c] += tiny * (1.0 + v.abs());
                if weight > 0.0 {
                    self.largest[c] = self.largest[c].max(v.abs());
                }
            }
        }
        for (c, square) in squares.into_iter().enumerate() {
            let additions = self.additions.min(column_ties[c] + self.row.rescalings);
            self.independent[c] = sum_variance(additions, self.output[c], square) + products * square;
        }
    }
}
