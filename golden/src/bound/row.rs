//! One query's softmax: the sensitivity of its logits, exponents, weights and log-sum-exp.
//!
//! Variances are squared sensitivities in units of the accumulation's roundoff (sections 2 and 3 of the derivation).

use ndarray::{Array2, ArrayView1};
use obd_core::{AttentionTrace, Head};

use super::Arithmetic;
use super::average::Average;
use super::ties::{classes, squared_multiplicity, sum_variance};

/// A head with the multiplicities of equal numbers in its tensors.
pub(super) struct Rows<'a> {
    pub head: &'a Head,
    pub trace: &'a AttentionTrace,
    pub arithmetic: &'a Arithmetic,
    query_ties: Vec<f64>,
    key_ties: Vec<f64>,
    /// Per token, over its channels.
    pub value_ties: Vec<f64>,
    /// Per channel, over the tokens.
    column_ties: Vec<f64>,
    /// Per query: which earlier query is the same, as the number of a class.
    pub query_class: Vec<usize>,
}

impl<'a> Rows<'a> {
    pub fn new(head: &'a Head, trace: &'a AttentionTrace, arithmetic: &'a Arithmetic) -> Self {
        let rows = |tensor: &Array2<f64>| tensor.rows().into_iter().map(multiplicity).collect();
        let queries = head.query().rows().into_iter();
        Self {
            query_ties: rows(head.query()),
            key_ties: rows(head.key()),
            value_ties: rows(head.value()),
            column_ties: head.value().columns().into_iter().map(multiplicity).collect(),
            query_class: classes(queries.map(|row| row.iter().map(bits).collect::<Vec<_>>())).0,
            head,
            trace,
            arithmetic,
        }
    }

    /// The softmax of query `i`; `None` where it sees nothing and has no sink.
    pub fn row(&self, i: usize) -> Option<Row<'_>> {
        if self.trace.log_sum_exp[i] == f64::NEG_INFINITY {
            return None;
        }
        Some(Row::new(self, i))
    }

    /// Squared sensitivity of the logit of a pair: a dot product of head_dim terms in any order, and its scaling.
    fn logit(&self, i: usize, j: usize) -> f64 {
        let products = self.head.query().row(i).into_iter().zip(self.head.key().row(j));
        let squares: f64 = products.map(|(q, k)| (q * k).powi(2)).sum();
        let squares = squares * self.head.scale().powi(2);
        let square = self.trace.logits[[i, j]].powi(2);
        let additions = self.query_ties[i].min(self.key_ties[j]);
        sum_variance(additions, self.trace.logits[[i, j]], squares)
            + 2.0 * (1.0 + self.arithmetic.entry().powi(2)) * squares
            + 2.0 * square
    }
}

/// The softmax of one query.
pub(super) struct Row<'a> {
    pub rows: &'a Rows<'a>,
    pub query: usize,
    /// The tokens that it sees; what follows is by place in this list.
    pub tokens: Vec<usize>,
    pub weights: Vec<f64>,
    /// Softmax inputs.
    inputs: Vec<Input>,
    /// Variance of each logit.
    pub logit: Vec<f64>,
    /// Variance of the logarithm of each exponential.
    pub exponent: Vec<f64>,
    /// Which of the exponentials are equal: a class each.
    pub class: Vec<usize>,
    /// Weight of the sink and variance of the logarithm of its exponential.
    pub sink: Option<(f64, f64)>,
    /// Rescalings of an online softmax: how often a random order meets a new maximum.
    pub rescalings: f64,
    maximum: f64,
}

impl<'a> Row<'a> {
    fn new(rows: &'a Rows<'a>, query: usize) -> Self {
        let head = rows.head;
        let seen = |&j: &usize| head.visibility().visible(query, j);
        let tokens: Vec<usize> = (0..head.kv_len()).filter(seen).collect();
        let inputs: Vec<Input> = tokens.iter().map(|&j| Input::new(rows, query, j)).collect();
        let maximum = inputs.iter().map(|input| input.size).chain(head.sink());
        let maximum = maximum.fold(f64::NEG_INFINITY, f64::max);
        let function = rows.arithmetic.function().powi(2);
        let exponent = |input: f64| 2.0 * (input - maximum).powi(2) + function;
        Self {
            weights: tokens.iter().map(|&j| rows.trace.weights[[query, j]]).collect(),
            logit: inputs.iter().map(|input| input.logit).collect(),
            exponent: inputs
                .iter()
                .map(|input| input.variance + exponent(input.size))
                .collect(),
            class: classes(inputs.iter().map(|input| bits(&input.size))).0,
            sink: head
                .sink()
                .map(|sink| ((sink - rows.trace.log_sum_exp[query]).exp(), exponent(sink))),
            rescalings: 1.0 + (tokens.len().max(1) as f64).ln(),
            maximum,
            inputs,
            tokens,
            rows,
            query,
        }
    }

    /// The softmax input at `place`.
    pub fn input(&self, place: usize) -> f64 {
        self.inputs[place].size
    }

    /// Sensitivity of the soft-capped logit at `place`.
    pub fn capped_sensitivity(&self, place: usize) -> f64 {
        self.inputs[place].capped.sqrt()
    }

    /// The output of this query as an average of values.
    pub fn average(&self) -> Average<'_> {
        let head = self.rows.head;
        Average::new(
            self,
            self.weights.clone(),
            self.sink,
            head.value(),
            &self.rows.column_ties,
        )
    }

    /// What the output would be without the token at `place`.
    pub fn average_without(&self, place: usize) -> Average<'_> {
        let mut weights = self.weights.clone();
        weights[place] = 0.0;
        let rest: f64 = weights.iter().sum::<f64>() + self.sink.map_or(0.0, |(weight, _)| weight);
        let share = |weight: f64| if rest > 0.0 { weight / rest } else { 0.0 };
        let sink = self.sink.map(|(weight, exponent)| (share(weight), exponent));
        let weights = weights.into_iter().map(share).collect();
        let average = Average::new(self, weights, sink, self.rows.head.value(), &self.rows.column_ties);
        average.magnified(rest)
    }

    /// The mean of the logits over the tokens, the sink apart.
    pub fn mean_logit(&self) -> Average<'_> {
        let logits = self
            .rows
            .trace
            .logits
            .row(self.query)
            .insert_axis(ndarray::Axis(1))
            .to_owned();
        let total: f64 = self.weights.iter().sum();
        let share = |weight: &f64| if total > 0.0 { weight / total } else { 0.0 };
        let weights = self.weights.iter().map(share).collect();
        Average::new(self, weights, None, &logits, &[f64::INFINITY])
    }

    /// Variance of what follows the sum of exponentials in a log-sum-exp: rescalings, logarithm, final addition.
    pub fn logarithm(&self) -> f64 {
        let function = self.rows.arithmetic.function().powi(2);
        let log_sum_exp = self.rows.trace.log_sum_exp[self.query];
        function * (self.rescalings + (log_sum_exp - self.maximum).powi(2)) + 2.0 * log_sum_exp.powi(2)
    }

    /// Variance of the log-sum-exp, `average` being [`Row::average`].
    pub fn log_sum_exp(&self, average: &Average<'_>) -> f64 {
        average.exponents + average.denominator + self.logarithm()
    }

    /// Sensitivity of the logarithm of the weight at `place`; `denominator` is [`Row::log_sum_exp`].
    pub fn log_weight(&self, place: usize, average: &Average<'_>, denominator: f64) -> f64 {
        let (variance, mass) = (self.exponent[place], average.mass(self.class[place]));
        let others = denominator - mass * mass * variance;
        ((1.0 - mass).powi(2) * variance + others.max(0.0) + 2.0).sqrt()
    }
}

/// One softmax input: soft-capped logit plus bias.
struct Input {
    size: f64,
    /// Variances of the logit, the soft-capped logit and the input.
    logit: f64,
    capped: f64,
    variance: f64,
}

impl Input {
    fn new(rows: &Rows<'_>, i: usize, j: usize) -> Self {
        let z = rows.trace.logits[[i, j]];
        let logit = rows.logit(i, j);
        let function = rows.arithmetic.function().powi(2);
        let (capped, variance) = match rows.head.softcap() {
            None => (z, logit),
            Some(cap) => {
                let capped = cap.value(z);
                let inner = cap.slope(z).powi(2) * (logit + z * z);
                (capped, inner + (function + 2.0) * capped * capped)
            }
        };
        let bias = rows.head.bias(i, j);
        let size = capped + bias;
        let added = if bias == 0.0 { 0.0 } else { bias * bias + size * size };
        Self {
            size,
            logit,
            capped: variance,
            variance: variance + added,
        }
    }
}

/// Σ m² over equal magnitudes of a row; zeros add nothing and are not counted.
fn multiplicity(row: ArrayView1<f64>) -> f64 {
    squared_multiplicity(row.iter().filter(|&&x| x != 0.0).map(|x| x.abs().to_bits()))
}

/// The bits of a number, the two zeros being one.
fn bits(number: &f64) -> u64 {
    (number + 0.0).to_bits()
}
