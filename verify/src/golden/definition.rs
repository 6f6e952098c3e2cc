//! What each output of a golden case is, written down once in any arithmetic.
//!
//! Attention comes from `reference-attention`; what follows it are the definitions of
//! [`OutputKind`], in the order in which they are read. With a the weights of a query (its sink's weight among those
//! of the others) and j the token,
//!
//! ```text
//! rest = Σ_{l≠j} a_l        others = Σ_{l≠j} a_l v_l        gap = rest v_j - others  (= v_j - o, as rest + a_j = 1)
//! removal          others / rest - o                                  = -a gap / rest
//! key zeroing      (others + w v_j) / (rest + w) - o                  = w (1 - e^u) gap / (rest + w)
//! joint zeroing    others / (rest + w) - o                            = -(w (1 - e^u) others / (rest + w) + a v_j)
//! ```
//! where u is the token's softmax input and w = exp(-lse) the weight of a logit of 0 beside the old ones. `rest` and
//! `others` are summed without the token and never by subtraction, so that they keep their digits as a nears 1.

use golden::{OutputKind, OutputSpec};
use ndarray::Array2;
use obd_core::{AttentionTrace, Head};
use reference_attention::Scalar;

/// One query head with its trace, in the arithmetic `S`. Claim C23.
pub(super) struct HeadDefinition<'a, S> {
    pub head: &'a Head,
    pub trace: AttentionTrace<S>,
}

/// What one query sees, one entry for each visible token.
struct VisibleRow<S> {
    query: usize,
    tokens: Vec<usize>,
    weights: Vec<S>,
    /// Softmax weight of the sink, if any.
    sink: Option<S>,
}

/// A row as it is without one of its tokens.
struct Without<S> {
    rest: S,
    others: Vec<S>,
    /// Whether nothing at all is left, not even a sink.
    empty: bool,
}

fn number<S: Scalar>(value: f64) -> S {
    S::from_f64(value)
}

fn sum<S: Scalar>(terms: impl IntoIterator<Item = S>) -> S {
    let mut sum = number(0.0);
    for term in terms {
        sum = sum + term;
    }
    sum
}

fn square<S: Scalar>(x: S) -> S {
    x.clone() * x
}

impl<S: Scalar> HeadDefinition<'_, S> {
    /// The saliencies of `specs` before pooling, one row a spec, of the tokens that are `wanted`; 0 for the others.
    pub fn saliencies(&self, specs: &[OutputSpec], wanted: impl Fn(usize) -> bool) -> Array2<S> {
        let mut saliencies = Array2::from_elem((specs.len(), self.head.kv_len()), number::<S>(0.0));
        for i in 0..self.head.query_len() {
            let counting: Vec<usize> = (0..specs.len())
                .filter(|&s| specs[s].query_window.queries(self.head.query_len()).contains(&i))
                .collect();
            if counting.is_empty() {
                continue;
            }
            let row = self.row(i);
            for (at, without) in self.leave_one_out(&row).into_iter().enumerate() {
                let token = row.tokens[at];
                if !wanted(token) {
                    continue;
                }
                for &s in &counting {
                    let contribution = self.contribution(specs[s].kind, &row, at, &without);
                    saliencies[[s, token]] = saliencies[[s, token]].clone() + contribution;
                }
            }
        }
        saliencies
    }

    /// `1 - a` of every visible pair, summed from the other weights.
    pub fn rests(&self) -> Vec<S> {
        let rows = (0..self.head.query_len()).map(|i| self.row(i));
        rows.flat_map(|row| self.leave_one_out(&row))
            .map(|without| without.rest)
            .collect()
    }

    fn row(&self, query: usize) -> VisibleRow<S> {
        let tokens: Vec<usize> = (0..self.head.kv_len())
            .filter(|&j| self.head.visibility().visible(query, j))
            .collect();
        VisibleRow {
            query,
            weights: tokens.iter().map(|&j| self.trace.weights[[query, j]].clone()).collect(),
            sink: (self.head.sink()).map(|sink| (number::<S>(sink) - self.trace.log_sum_exp[query].clone()).exp()),
            tokens,
        }
    }

    /// The row without each of its tokens in turn: what comes before the token plus what comes after it.
    fn leave_one_out(&self, row: &VisibleRow<S>) -> Vec<Without<S>> {
        // No sink holds no weight.
        let sink = row.sink.clone().unwrap_or_else(|| number(0.0));
        let mut without: Vec<Without<S>> = Vec::new();
        let (mut rest, mut others) = (sink, vec![number::<S>(0.0); self.head.value_dim()]);
        for (weight, &token) in row.weights.iter().zip(&row.tokens) {
            without.push(Without {
                rest: rest.clone(),
                others: others.clone(),
                empty: row.tokens.len() == 1 && row.sink.is_none(),
            });
            self.include(weight, token, &mut rest, &mut others);
        }
        let (mut rest, mut others) = (number::<S>(0.0), vec![number::<S>(0.0); self.head.value_dim()]);
        for (at, (weight, &token)) in row.weights.iter().zip(&row.tokens).enumerate().rev() {
            let before = &mut without[at];
            before.rest = before.rest.clone() + rest.clone();
            for (channel, after) in before.others.iter_mut().zip(&others) {
                *channel = channel.clone() + after.clone();
            }
            self.include(weight, token, &mut rest, &mut others);
        }
        without
    }

    fn include(&self, weight: &S, token: usize, rest: &mut S, others: &mut [S]) {
        *rest = rest.clone() + weight.clone();
        for (channel, &value) in others.iter_mut().zip(self.head.value().row(token)) {
            *channel = channel.clone() + weight.clone() * number(value);
        }
    }

    /// What the row's query adds to the saliency of its token number `at`.
    fn contribution(&self, kind: OutputKind, row: &VisibleRow<S>, at: usize, without: &Without<S>) -> S {
        let weight = || row.weights[at].clone();
        let value: Vec<S> = self
            .head
            .value()
            .row(row.tokens[at])
            .iter()
            .map(|&v| number(v))
            .collect();
        let gap = || self.gap(&value, without);
        let key = |fall: S| square(weight() * fall) * sum(gap().into_iter().map(square));
        let joint = |fall: S| {
            let moved = value
                .iter()
                .zip(gap())
                .map(|(v, gap)| square(v.clone() + fall.clone() * gap));
            square(weight()) * sum(moved)
        };
        let two_norm = || square(weight()) * sum(value.iter().cloned().map(square));
        match kind {
            OutputKind::Output | OutputKind::LogSumExp => number(0.0),
            OutputKind::Weight => weight(),
            OutputKind::Value => two_norm(),
            OutputKind::ValueOneNorm => {
                let magnitudes = self.head.value().row(row.tokens[at]).mapv(f64::abs);
                weight() * sum(magnitudes.into_iter().map(number))
            }
            OutputKind::Key => key(self.slope(row, at) * self.logit(row, at)),
            OutputKind::Joint => joint(self.slope(row, at) * self.logit(row, at)),
            OutputKind::JointNoCross => two_norm() + key(self.slope(row, at) * self.logit(row, at)),
            OutputKind::Removal => self.removal(row, weight(), without, gap()),
            OutputKind::KeyZeroing => {
                let won = self.weight_won(row, at, without);
                square(won) * sum(gap().into_iter().map(square))
            }
            OutputKind::JointZeroing => {
                let won = self.weight_won(row, at, without);
                let pairs = without.others.iter().zip(&value);
                sum(pairs.map(|(other, v)| square(won.clone() * other.clone() + weight() * v.clone())))
            }
            OutputKind::KeyLse => key(self.log_weight(row, at)),
            OutputKind::JointLse => joint(self.log_weight(row, at)),
            OutputKind::KeyMean => key(self.above_mean(row, at)),
            OutputKind::JointMean => joint(self.above_mean(row, at)),
        }
    }

    /// `v - o`, channel by channel.
    fn gap(&self, value: &[S], without: &Without<S>) -> Vec<S> {
        let pairs = value.iter().zip(&without.others);
        pairs
            .map(|(v, other)| without.rest.clone() * v.clone() - other.clone())
            .collect()
    }

    /// A query that sees nothing else loses its whole output.
    fn removal(&self, row: &VisibleRow<S>, weight: S, without: &Without<S>, gap: Vec<S>) -> S {
        if without.empty {
            return sum(self.trace.output.row(row.query).iter().cloned().map(square));
        }
        square(weight / without.rest.clone()) * sum(gap.into_iter().map(square))
    }

    /// `w (1 - e^u) / (rest + w)`: the weight that the token wins when its softmax input u becomes 0.
    fn weight_won(&self, row: &VisibleRow<S>, at: usize, without: &Without<S>) -> S {
        let unit = (S::from_f64(0.0) - self.trace.log_sum_exp[row.query].clone()).exp();
        let odds = self.softmax_input(row, at).exp();
        unit.clone() * (number::<S>(1.0) - odds) / (without.rest.clone() + unit)
    }

    fn logit(&self, row: &VisibleRow<S>, at: usize) -> S {
        self.trace.logits[[row.query, row.tokens[at]]].clone()
    }

    fn softmax_input(&self, row: &VisibleRow<S>, at: usize) -> S {
        let logit = self.logit(row, at);
        match self.head.softcap() {
            Some(softcap) => number::<S>(softcap.cap()) * (logit / number(softcap.cap())).tanh(),
            None => logit,
        }
    }

    /// The derivative of the softmax input by the logit.
    fn slope(&self, row: &VisibleRow<S>, at: usize) -> S {
        match self.head.softcap() {
            Some(softcap) => number::<S>(1.0) - square((self.logit(row, at) / number(softcap.cap())).tanh()),
            None => number(1.0),
        }
    }

    fn log_weight(&self, row: &VisibleRow<S>, at: usize) -> S {
        self.softmax_input(row, at) - self.trace.log_sum_exp[row.query].clone()
    }

    /// `slope Σ_l a_l (z_j - z_l) / Σ_l a_l`.
    fn above_mean(&self, row: &VisibleRow<S>, at: usize) -> S {
        let differences = (0..row.tokens.len())
            .filter(|&l| l != at)
            .map(|l| row.weights[l].clone() * (self.logit(row, at) - self.logit(row, l)));
        self.slope(row, at) * sum(differences) / sum(row.weights.iter().cloned())
    }
}
