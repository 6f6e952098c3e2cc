//! Attention, each operation rounded: logits, softmax, output and log-sum-exp of every query head.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use obd_core::AttentionTrace;

use super::visibility::visible;
use super::{Deviation, Rendering, TILE, VECTOR};
use crate::{Precision, Problem};

/// The attention of every query head.
pub(super) fn heads(rendering: Rendering, problem: &Problem) -> Vec<AttentionTrace> {
    (0..problem.num_query_heads())
        .map(|head| attend(rendering, problem, head))
        .collect()
}

/// The KV head that a query head reads.
pub(super) fn kv_head(rendering: Rendering, problem: &Problem, head: usize) -> usize {
    match rendering.deviation {
        Some(Deviation::HeadsModulo) => head % problem.num_kv_heads(),
        Some(Deviation::HeadsFirst) => 0,
        _ => head / problem.group_size(),
    }
}

/// The token whose value goes with the key of `token`.
pub(super) fn value_token(rendering: Rendering, problem: &Problem, token: usize) -> usize {
    if rendering.does(Deviation::KeyValueMisaligned) {
        (token + 1).min(problem.kv_len() - 1)
    } else {
        token
    }
}

/// One term of the softmax.
struct Exponent {
    input: f64,
    /// The token whose weight this is.
    token: Option<usize>,
    /// The token whose value it multiplies.
    value: Option<usize>,
    in_maximum: bool,
    in_sum: bool,
}

fn attend(rendering: Rendering, problem: &Problem, head: usize) -> AttentionTrace {
    let logits = logits(rendering, problem, head);
    let mut trace = AttentionTrace {
        weights: Array2::zeros(logits.dim()),
        output: Array2::zeros((problem.query_len(), problem.value_dim())),
        log_sum_exp: Array1::from_elem(problem.query_len(), f64::NEG_INFINITY),
        logits,
    };
    for i in 0..problem.query_len() {
        let exponents = exponents(rendering, problem, head, i, trace.logits.row(i));
        if exponents.is_empty() {
            if rendering.does(Deviation::MaskNan) {
                trace.output.row_mut(i).fill(f64::NAN);
                trace.log_sum_exp[i] = f64::NAN;
            }
            continue;
        }
        let softmax = softmax(rendering, problem, head, &exponents);
        trace.log_sum_exp[i] = softmax.log_sum_exp;
        trace.output.row_mut(i).assign(&softmax.output);
        for (exponent, weight) in exponents.iter().zip(softmax.weights) {
            if let Some(token) = exponent.token.filter(|&token| token < problem.kv_len()) {
                trace.weights[[i, token]] = weight;
            }
        }
    }
    trace
}

fn logits(rendering: Rendering, problem: &Problem, head: usize) -> Array2<f64> {
    let (query, key) = (
        problem.query.index_axis(Axis(0), head),
        problem.key.index_axis(Axis(0), kv_head(rendering, problem, head)),
    );
    let channels = match rendering.deviation {
        Some(Deviation::HeadDimTailDropped) if problem.head_dim() > VECTOR => problem.head_dim() / VECTOR * VECTOR,
        Some(Deviation::HeadDimReadBeyond) => problem.head_dim().next_multiple_of(VECTOR),
        _ => problem.head_dim(),
    };
    let enter = |x: f64| {
        if rendering.does(Deviation::InputsTf32) {
            Precision::Tf32.round(x)
        } else {
            x
        }
    };
    let flat = |tensor: &ndarray::ArrayView2<f64>| tensor.iter().map(|&x| enter(x)).collect::<Vec<f64>>();
    let (query, key) = (flat(&query), flat(&key));
    let scale = scale(rendering, problem);
    let softcap = problem
        .softcap
        .filter(|_| rendering.does(Deviation::SoftcapBeforeScale));
    Array2::from_shape_fn((problem.query_len(), problem.kv_len()), |(i, j)| {
        let (q, k) = (i * problem.head_dim(), j * problem.head_dim());
        let mut product = 0.0;
        for c in 0..channels {
            let read = |tensor: &[f64], row: usize| tensor.get(row + c).copied().unwrap_or(0.0);
            product = rendering.round(product + rendering.round(read(&query, q) * read(&key, k)));
        }
        if let Some(cap) = softcap {
            product = rendering.round(cap * rendering.round(libm::tanh(rendering.round(product / cap))));
        }
        hold(rendering, rendering.round(scale * product))
    })
}

fn scale(rendering: Rendering, problem: &Problem) -> f64 {
    let d = problem.head_dim() as f64;
    rendering.round(match rendering.deviation {
        Some(Deviation::ScaleMissing) => 1.0,
        Some(Deviation::ScaleTwice) => problem.scale * problem.scale,
        Some(Deviation::ScalePadded) => problem.scale * (d / problem.head_dim().next_power_of_two() as f64).sqrt(),
        _ => problem.scale,
    })
}

/// The logit as it is kept until the maximum is subtracted.
fn hold(rendering: Rendering, logit: f64) -> f64 {
    match rendering.deviation {
        Some(Deviation::LogitsF16) => Precision::F16.round(logit),
        Some(Deviation::LogitsBf16) => Precision::Bf16.round(logit),
        _ => rendering.store(logit),
    }
}

/// The soft-capped logit.
pub(super) fn capped(rendering: Rendering, problem: &Problem, z: f64) -> f64 {
    let round = |x| rendering.round(x);
    match (problem.softcap, rendering.deviation) {
        (None, _) | (_, Some(Deviation::SoftcapMissing | Deviation::SoftcapBeforeScale)) => z,
        (Some(cap), Some(Deviation::SoftcapUndivided)) => round(cap * round(libm::tanh(z))),
        (Some(cap), _) => round(cap * round(libm::tanh(round(z / cap)))),
    }
}

/// The terms of the softmax of query `i`; none where it sees nothing.
fn exponents(rendering: Rendering, problem: &Problem, head: usize, i: usize, logits: ArrayView1<f64>) -> Vec<Exponent> {
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
        } else if is(Deviation::SoftcapAfterMask) && problem.softcap.is_some() {
            exponents.push(token(j, -problem.softcap.unwrap_or_default()));
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

fn sink(rendering: Rendering, problem: &Problem, head: usize) -> Option<Exponent> {
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

struct Softmax {
    weights: Vec<f64>,
    output: Array1<f64>,
    log_sum_exp: f64,
}

/// One or several passes over the terms: maximum, sum and output, rescaled whenever a tile brings a new maximum.
fn softmax(rendering: Rendering, problem: &Problem, head: usize, exponents: &[Exponent]) -> Softmax {
    let round = |x| rendering.round(x);
    let exp = |x| round(libm::exp(round(x)));
    let value = problem.value.index_axis(Axis(0), kv_head(rendering, problem, head));
    let mut output = Array1::<f64>::zeros(problem.value_dim());
    let (mut maximum, mut sum) = (f64::NEG_INFINITY, 0.0);
    for tile in exponents.chunks(rendering.tile.unwrap_or(exponents.len())) {
        let before = maximum;
        maximum = tile_maximum(rendering, tile, maximum);
        if before > f64::NEG_INFINITY && before < maximum {
            let rescaling = exp(before - maximum);
            if !rendering.does(Deviation::RescaleSumForgotten) {
                sum = round(sum * rescaling);
            }
            if !rendering.does(Deviation::RescaleOutputForgotten) {
                output.mapv_inplace(|o| round(o * rescaling));
            }
        }
        for exponent in tile {
            let term = exp(exponent.input - maximum);
            if exponent.in_sum {
                sum = round(sum + term);
            }
            if rendering.tile.is_some() {
                add(rendering, &mut output, term, exponent, &value);
            }
        }
    }
    let weights: Vec<f64> = exponents
        .iter()
        .map(|exponent| round(exp(exponent.input - maximum) / sum))
        .collect();
    let normalised = !rendering.does(Deviation::OutputNotNormalised);
    if rendering.tile.is_some() {
        output.mapv_inplace(|o| if normalised { round(o / sum) } else { o });
    } else {
        for (exponent, &weight) in exponents.iter().zip(&weights) {
            let term = if normalised {
                weight
            } else {
                exp(exponent.input - maximum)
            };
            add(rendering, &mut output, term, exponent, &value);
        }
    }
    let logarithm = round(libm::log(sum));
    let maximum = if rendering.does(Deviation::LogSumExpWithoutMaximum) {
        0.0
    } else {
        maximum
    };
    Softmax {
        weights,
        output: output.mapv(|o| rendering.store(o)),
        log_sum_exp: round(maximum + logarithm),
    }
}

fn tile_maximum(rendering: Rendering, tile: &[Exponent], before: f64) -> f64 {
    if rendering.does(Deviation::MaximumNotSubtracted) {
        return 0.0;
    }
    let counted = tile.iter().filter(|exponent| exponent.in_maximum);
    counted.map(|exponent| exponent.input).fold(before, f64::max)
}

/// Adds a weighted value to the output.
fn add(
    rendering: Rendering,
    output: &mut Array1<f64>,
    weight: f64,
    exponent: &Exponent,
    value: &ndarray::ArrayView2<f64>,
) {
    let Some(token) = exponent.value else { return };
    let weight = match rendering.deviation {
        Some(Deviation::ProbabilitiesF16) => Precision::F16.round(weight),
        Some(Deviation::ProbabilitiesBf16) => Precision::Bf16.round(weight),
        _ => weight,
    };
    for (o, v) in output.iter_mut().zip(value.row(token)) {
        *o = rendering.round(*o + rendering.round(weight * v));
    }
}
