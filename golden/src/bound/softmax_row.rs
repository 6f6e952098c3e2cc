//! One query's softmax: the sensitivity of its logits, exponents, weights and log-sum-exp.
//!
//! Variances are squared sensitivities in units of the accumulation's roundoff (sections 2 and 3 of the derivation).

use super::head::JudgedHead;
use super::ties::{bits, classes};

/// The softmax of one query.
pub(super) struct SoftmaxRow<'a> {
    pub judged: &'a JudgedHead<'a>,
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
    /// How many classes there are.
    pub classes: usize,
    /// Weight of the sink and variance of the logarithm of its exponential.
    pub sink: Option<(f64, f64)>,
    /// Rescalings of an online softmax: how often a random order meets a new maximum.
    pub rescalings: f64,
    maximum: f64,
}

impl<'a> SoftmaxRow<'a> {
    /// The softmax of a query; `None` where it sees nothing and has no sink.
    pub fn new(judged: &'a JudgedHead<'a>, query: usize) -> Option<Self> {
        if judged.trace.log_sum_exp[query] == f64::NEG_INFINITY {
            return None;
        }
        let head = judged.head;
        let seen = |&j: &usize| head.visibility().visible(query, j);
        let tokens: Vec<usize> = (0..head.kv_len()).filter(seen).collect();
        let inputs: Vec<Input> = tokens.iter().map(|&j| Input::new(judged, query, j)).collect();
        let maximum = inputs.iter().map(|input| input.size).chain(head.sink());
        let maximum = maximum.fold(f64::NEG_INFINITY, f64::max);
        let function = judged.arithmetic.function().powi(2);
        let exponent = |input: f64| 2.0 * (input - maximum).powi(2) + function;
        let (class, sizes) = classes(inputs.iter().map(|input| bits(&input.size)));
        Some(Self {
            weights: tokens.iter().map(|&j| judged.trace.weights[[query, j]]).collect(),
            logit: inputs.iter().map(|input| input.logit).collect(),
            exponent: inputs
                .iter()
                .map(|input| input.variance + exponent(input.size))
                .collect(),
            class,
            classes: sizes.len(),
            sink: head
                .sink()
                .map(|sink| ((sink - judged.trace.log_sum_exp[query]).exp(), exponent(sink))),
            rescalings: 1.0 + (tokens.len().max(1) as f64).ln(),
            maximum,
            inputs,
            tokens,
            judged,
            query,
        })
    }

    /// Weight of the sink, which is 0 where there is none.
    pub fn sink_weight(&self) -> f64 {
        match self.sink {
            Some((weight, _)) => weight,
            None => 0.0,
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

    /// Variance of what follows the sum of exponentials in a log-sum-exp: rescalings, logarithm, final addition.
    pub fn logarithm(&self) -> f64 {
        let function = self.judged.arithmetic.function().powi(2);
        let log_sum_exp = self.judged.trace.log_sum_exp[self.query];
        function * (self.rescalings + (log_sum_exp - self.maximum).powi(2)) + 2.0 * log_sum_exp.powi(2)
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
    fn new(judged: &JudgedHead<'_>, i: usize, j: usize) -> Self {
        let z = judged.trace.logits[[i, j]];
        let logit = judged.logit(i, j);
        let function = judged.arithmetic.function().powi(2);
        let (capped, variance) = match judged.head.softcap() {
            None => (z, logit),
            Some(cap) => {
                let capped = cap.value(z);
                let inner = cap.slope(z).powi(2) * (logit + z * z);
                (capped, inner + (function + 2.0) * capped * capped)
            }
        };
        let bias = judged.head.bias(i, j);
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
