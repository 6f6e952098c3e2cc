//! One query at a time through the trace-based scores: slow, and what the engine is tested against.

use ndarray::{Array1, Array2, Axis, s};
use obd_core::{AttentionTrace, Head, Perturbation};

use crate::columns::Column;
use crate::element::Element;
use crate::problem::Problem;
use crate::saliencies::Saliencies;
use obcache_scores::{Score, exact};

/// Output and column sums of one query head.
pub(crate) fn saliencies<T: Element>(problem: &Problem<T>, head: usize) -> Saliencies<T> {
    let queries = problem.queries();
    let mut saliencies = Saliencies {
        output: Array2::default((queries.len(), problem.value_dim())),
        log_sum_exp: Array1::from_elem(queries.len(), problem.sink(head).unwrap_or(f64::NEG_INFINITY)),
        columns: Column::ALL.map(|_| Array1::zeros(problem.kv_len())),
    };
    for (row, i) in queries.enumerate() {
        let seen = problem.visible(i);
        if let Some(alone) = alone(problem, head, i) {
            let trace = attend(&alone);
            saliencies
                .output
                .row_mut(row)
                .assign(&trace.output.row(0).map(|&o| T::from_f64(o)));
            saliencies.log_sum_exp[row] = trace.log_sum_exp[0];
            let mut add = |column: Column, contributions: Array2<f64>| {
                let mut sums = saliencies.columns[column as usize].slice_mut(s![seen.clone()]);
                sums += &contributions.row(0);
            };
            for score in Score::ALL {
                if let Some(column) = Column::of_score(score) {
                    add(column, score.contributions(&alone, &trace));
                }
            }
            for (what, column) in [
                (Perturbation::KeyZeroing, Column::KeyZeroing),
                (Perturbation::JointZeroing, Column::JointZeroing),
            ] {
                add(column, exact::contributions(what, &alone, &trace));
            }
        }
    }
    saliencies
}

/// The problem of one query: itself and the tokens it sees. `None` where it sees none.
fn alone<T: Element>(problem: &Problem<T>, head: usize, i: usize) -> Option<Head> {
    let seen = problem.visible(i);
    let lift = |rows: ndarray::ArrayView2<T>| rows.map(|element| element.to_f64());
    let query = lift(problem.query().slice(s![head, i..i + 1, ..]));
    let (key, value) = (problem.key(), problem.value());
    let alone = Head::new(
        query,
        lift(key.slice(s![seen.clone(), ..])),
        lift(value.slice(s![seen, ..])),
    );
    let alone = alone.ok()?.with_scale(problem.scale()).ok()?;
    match problem.sink(head) {
        Some(sink) => alone.with_sink(sink).ok(),
        None => Some(alone),
    }
}

/// Attention of one query over all its tokens.
fn attend(head: &Head) -> AttentionTrace {
    let logits = head.query().dot(&head.key().t()) * head.scale();
    let maximum = logits.fold(head.sink().unwrap_or(f64::NEG_INFINITY), |maximum, &z| z.max(maximum));
    let exponentials = logits.mapv(|z| (z - maximum).exp());
    let sum = exponentials.sum_axis(Axis(1)) + head.sink().map_or(0.0, |sink| (sink - maximum).exp());
    let weights = exponentials / sum[0];
    AttentionTrace {
        output: weights.dot(head.value()),
        log_sum_exp: sum.mapv(|sum| maximum + sum.ln()),
        logits,
        weights,
    }
}
