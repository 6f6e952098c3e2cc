//! From contributions to what is asked for: sum over the window, pooling, group.

use ndarray::{Array1, Array2, ArrayD, Axis};
use obd_core::{AttentionTrace, QueryWindow};

use super::contribution::contributions;
use super::deviation::Deviation;
use super::kernel::Rendering;
use crate::{AttentionProblem, GroupReduction, OutputKind, OutputSpec, Pooling};

/// A saliency of all heads, whose attention is `heads`.
pub(super) fn saliency(
    rendering: Rendering,
    problem: &AttentionProblem,
    heads: &[AttentionTrace],
    spec: &OutputSpec,
) -> ArrayD<f64> {
    let rendered = &Attended {
        rendering,
        problem,
        heads,
    };
    let is = |deviation| rendering.does(deviation);
    let queries = queries(rendered, spec.query_window);
    let group = rendered.problem.group_size();
    let after = spec.kind == OutputKind::Value && spec.group_reduction.is_some() && is(Deviation::GroupSquaredAfter);
    let mut heads: Vec<Array1<f64>> = if after {
        squared_after_the_heads(rendered, &queries, spec)
    } else {
        (0..rendered.heads.len())
            .map(|head| shifted(rendered, sum(rendered, head, spec.kind, &queries)))
            .collect()
    };
    let pool = |saliency: &Array1<f64>| match spec.pooling {
        Some(pooling) if !is(Deviation::PoolingMissing) => pooled(rendered, pooling, saliency),
        _ => saliency.clone(),
    };
    let late = is(Deviation::PoolingAfterGroup) && spec.group_reduction.is_some();
    if !late {
        heads = heads.iter().map(pool).collect();
    }
    if let Some(reduction) = spec.group_reduction {
        heads = heads
            .chunks(group)
            .map(|group| reduced(rendered, reduction, group))
            .collect();
    }
    if late {
        heads = heads.iter().map(pool).collect();
    }
    let tokens = rendered.problem.kv_len();
    Array2::from_shape_fn((heads.len(), tokens), |(head, j)| heads[head][j]).into_dyn()
}

/// Attention that was run.
struct Attended<'a> {
    rendering: Rendering,
    problem: &'a AttentionProblem,
    heads: &'a [AttentionTrace],
}

/// The queries that count.
fn queries(rendered: &Attended<'_>, window: QueryWindow) -> Vec<usize> {
    let query_len = rendered.problem.query_len();
    let window = match (rendered.rendering.deviation, window) {
        (Some(Deviation::QueriesLastOnly), _) => QueryWindow::Last(1),
        (Some(Deviation::WindowQueriesMore), QueryWindow::Last(last)) => QueryWindow::Last(last + 1),
        (Some(Deviation::WindowQueriesFewer), QueryWindow::Last(last)) => QueryWindow::Last(last - 1),
        (Some(Deviation::WindowQueriesFirst), QueryWindow::Last(last)) => return (0..last.min(query_len)).collect(),
        (_, window) => window,
    };
    window.queries(query_len).collect()
}

fn sum(rendered: &Attended<'_>, head: usize, kind: OutputKind, queries: &[usize]) -> Array1<f64> {
    let rendering = rendered.rendering;
    if rendering.does(Deviation::QueriesSquaredAfterSum) && kind == OutputKind::Value {
        let weights = sum_rows(rendered, &rendered.heads[head].weights, queries);
        return times_squared_values(rendered, head, weights.mapv(|a| rendering.round(a * a)));
    }
    let contributions = contributions(rendering, rendered.problem, head, &rendered.heads[head], kind);
    if rendering.does(Deviation::QueriesMaximum) {
        let column = |j: usize| queries.iter().map(|&i| contributions[[i, j]]).fold(0.0, f64::max);
        return (0..contributions.ncols()).map(column).collect();
    }
    let sum = sum_rows(rendered, &contributions, queries);
    if rendering.does(Deviation::QueriesMean) {
        return sum.mapv(|s| rendering.round(s / queries.len() as f64));
    }
    sum
}

fn sum_rows(rendered: &Attended<'_>, rows: &Array2<f64>, queries: &[usize]) -> Array1<f64> {
    let mut sum = Array1::zeros(rows.ncols());
    for &i in queries {
        sum.zip_mut_with(&rows.row(i), |sum: &mut f64, &x| {
            *sum = rendered.rendering.round(*sum + x)
        });
    }
    sum
}

/// `Σ_i (Σ_h a)² ‖v‖²`, for a mean with the mean weight: the square after the sum over heads.
fn squared_after_the_heads(rendered: &Attended<'_>, queries: &[usize], spec: &OutputSpec) -> Vec<Array1<f64>> {
    let round = |x| rendered.rendering.round(x);
    let group = rendered.problem.group_size();
    let share = if spec.group_reduction == Some(GroupReduction::Sum) {
        1.0
    } else {
        group as f64
    };
    let joined = |heads: std::ops::Range<usize>| {
        let mut joined = Array2::zeros(rendered.heads[heads.start].weights.dim());
        for head in heads.clone() {
            joined.zip_mut_with(&rendered.heads[head].weights, |sum: &mut f64, &a| {
                *sum = round(*sum + a)
            });
        }
        let squares = joined.mapv(|a| round(round(a / share).powi(2)));
        times_squared_values(rendered, heads.start, sum_rows(rendered, &squares, queries))
    };
    // The group's reduction is undone by giving the whole to its first head, or the same to each.
    (0..rendered.heads.len())
        .map(|head| {
            let first = head / group * group;
            let whole = joined(first..first + group);
            match spec.group_reduction {
                Some(GroupReduction::Sum) if head != first => Array1::zeros(whole.len()),
                _ => whole,
            }
        })
        .collect()
}

fn times_squared_values(rendered: &Attended<'_>, head: usize, factors: Array1<f64>) -> Array1<f64> {
    let round = |x| rendered.rendering.round(x);
    let value = rendered
        .problem
        .value
        .index_axis(Axis(0), head / rendered.problem.group_size());
    let norm = |j: usize| value.row(j).iter().fold(0.0, |sum, v| round(sum + round(v * v)));
    Array1::from_shape_fn(factors.len(), |j| round(factors[j] * norm(j)))
}

fn shifted(rendered: &Attended<'_>, saliency: Array1<f64>) -> Array1<f64> {
    if !rendered.rendering.does(Deviation::TokensShifted) {
        return saliency;
    }
    Array1::from_shape_fn(saliency.len(), |j| if j == 0 { 0.0 } else { saliency[j - 1] })
}

fn pooled(rendered: &Attended<'_>, pooling: Pooling, saliency: &Array1<f64>) -> Array1<f64> {
    let round = |x| rendered.rendering.round(x);
    let kernel = pooling.kernel();
    let (before, after) = if rendered.rendering.does(Deviation::PoolingOneSided) {
        (kernel - 1, 0)
    } else {
        (kernel / 2, kernel / 2)
    };
    Array1::from_shape_fn(saliency.len(), |j| {
        let neighbours = j.saturating_sub(before)..(j + after + 1).min(saliency.len());
        let exist = neighbours.len();
        let neighbours = neighbours.map(|l| saliency[l]);
        match pooling {
            Pooling::Max { .. } => neighbours.fold(f64::NEG_INFINITY, f64::max),
            Pooling::Average { .. } => {
                let sum = neighbours.fold(0.0, |sum, s| round(sum + s));
                let existing = rendered.rendering.does(Deviation::PoolingExisting);
                round(sum / if existing { exist } else { kernel } as f64)
            }
        }
    })
}

fn reduced(rendered: &Attended<'_>, reduction: GroupReduction, group: &[Array1<f64>]) -> Array1<f64> {
    let round = |x| rendered.rendering.round(x);
    let reduction = match rendered.rendering.deviation {
        Some(Deviation::GroupSum) if reduction == GroupReduction::Mean => GroupReduction::Sum,
        Some(Deviation::GroupMean) if reduction == GroupReduction::Sum => GroupReduction::Mean,
        Some(Deviation::GroupFirst) => return group[0].clone(),
        _ => reduction,
    };
    Array1::from_shape_fn(group[0].len(), |j| {
        let saliencies = group.iter().map(|saliency| saliency[j]);
        match reduction {
            GroupReduction::Max => saliencies.fold(f64::NEG_INFINITY, f64::max),
            GroupReduction::Sum => saliencies.fold(0.0, |sum, s| round(sum + s)),
            GroupReduction::Mean => round(saliencies.fold(0.0, |sum, s| round(sum + s)) / group.len() as f64),
        }
    })
}
