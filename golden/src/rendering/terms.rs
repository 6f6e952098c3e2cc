//! The terms of a query's softmax: the tokens that it sees, its sink, and what a mistaken kernel adds to them.

use ndarray::ArrayView1;

use super::deviation::Deviation;
use super::kernel::{Rendering, TILE};
use super::logits::{capped, value_token};
use super::visibility::visible;
use crate::AttentionProblem;

/// One term of the softmax.
pub(super) struct Exponent {
    /// The softmax input.
    pub input: f64,
    /// The token whose weight this is.
    pub token: Option<usize>,
    /// The token whose value it multiplies.
    pub value: Option<usize>,
    /// Whether it counts for the maximum.
    pub in_maximum: bool,
    /// Whether it counts for the denominator.
    pub in_sum: bool,
}

/// The terms of the softmax of query `i`; none where it sees nothing.
pub(super) fn exponents(
    rendering: Rendering,
    problem: &AttentionProblem,
    head: usize,
    i: usize,
    logits: ArrayView1<f64>,
) -> Vec<Exponent> {
    let is = |deviation| rendering.does(deviation);
    let token = |j: usize, input: f64| Exponent {
        input,
        token: Some(j),
        value: Some(value_token(rendering, problem, j)),
        in_maximum: true,
        in_sum: true,
    };
    let mut exponents: Vec<Exponent> = sink(rendering, problem, head).into_iter().collect();
    let mut hidden = Vec::new();
    for (j, &z) in logits.iter().enumerate() {
        let input = capped(rendering, problem, z);
        if visible(rendering, problem, i, j) {
            exponents.push(token(j, input));
        } else if let Some(cap) = problem.softcap.filter(|_| is(Deviation::SoftcapAfterMask)) {
            exponents.push(token(j, -cap));
        } else if is(Deviation::MaskReachable) {
            exponents.push(token(j, rendering.round(input - 10.0)));
        } else if is(Deviation::MaskFinite) {
            hidden.push(token(j, -1e30));
        } else if is(Deviation::MaskedValueLeaks) {
            hidden.push(Exponent {
                in_maximum: false,
                in_sum: false,
                ..token(j, input)
            });
        }
    }
    let sees = exponents.iter().any(|exponent| exponent.token.is_some());
    match rendering.deviation {
        Some(Deviation::MaskFinite) if !sees => exponents.extend(hidden),
        Some(Deviation::MaskedValueLeaks) if sees => exponents.extend(hidden),
        Some(Deviation::PaddingCounted) if sees => {
            let padding = problem.kv_len().next_multiple_of(TILE) - problem.kv_len();
            exponents.extend((0..padding).map(|_| Exponent {
                value: None,
                token: None,
                ..token(0, 0.0)
            }));
        }
        _ => (),
    }
    exponents
}

fn sink(rendering: Rendering, problem: &AttentionProblem, head: usize) -> Option<Exponent> {
    let sinks = problem.sinks.as_ref()?;
    let is = |deviation| rendering.does(deviation);
    if is(Deviation::SinkMissing) {
        return None;
    }
    let logit = sinks.get(if is(Deviation::SinkOfFirstHead) { 0 } else { head })?;
    Some(Exponent {
        input: if is(Deviation::SinkScaled) {
            rendering.round(logit * problem.scale)
        } else {
            rendering.round(*logit)
        },
        token: None,
        value: is(Deviation::SinkGivenValue).then_some(0),
        in_maximum: !is(Deviation::SinkNotInMaximum),
        in_sum: true,
    })
}
