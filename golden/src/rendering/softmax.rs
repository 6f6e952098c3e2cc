//! The softmax of one query and its average of values, in one pass or tile by tile.

use ndarray::{Array1, ArrayView2, Axis};

use super::deviation::Deviation;
use super::kernel::Rendering;
use super::logits::kv_head;
use super::terms::Exponent;
use crate::{AttentionProblem, Precision};

/// What a query gets of its terms.
pub(super) struct Softmax {
    /// One a term.
    pub weights: Vec<f64>,
    pub output: Array1<f64>,
    pub log_sum_exp: f64,
}

/// One or several passes over the terms: maximum, sum and output, rescaled whenever a tile brings a new maximum.
pub(super) fn softmax(
    rendering: Rendering,
    problem: &AttentionProblem,
    head: usize,
    exponents: &[Exponent],
) -> Softmax {
    let round = |x| rendering.round(x);
    let exp = |x| round(libm::exp(round(x)));
    let value = problem.value.index_axis(Axis(0), kv_head(rendering, problem, head));
    let mut output = Array1::<f64>::zeros(problem.value_dim());
    let (mut maximum, mut sum) = (f64::NEG_INFINITY, 0.0);
    // Without tiles the whole row is one.
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
fn add(rendering: Rendering, output: &mut Array1<f64>, weight: f64, exponent: &Exponent, value: &ArrayView2<f64>) {
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
