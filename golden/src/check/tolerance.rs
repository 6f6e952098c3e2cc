//! The tolerance of a whole output: heads, window, pooling and group put together.

use ndarray::{Array1, Array2, ArrayD, Axis};
use obd_core::{AttentionTrace, Head};

use crate::{Arithmetic, GroupReduction, Output, OutputKind, Pooling, Precision, bound};

/// Tolerance of every element of `output`, in its shape.
pub(super) fn tolerance(
    heads: &[Head],
    traces: &[AttentionTrace],
    group_size: usize,
    output: &Output,
    arithmetic: &Arithmetic,
) -> ArrayD<f64> {
    let spec = &output.spec;
    let heads = heads.iter().zip(traces);
    match spec.kind {
        OutputKind::Output => stack(heads.map(|(head, trace)| bound::output(head, trace, arithmetic).into_dyn())),
        OutputKind::LogSumExp => {
            stack(heads.map(|(head, trace)| bound::log_sum_exp(head, trace, arithmetic).into_dyn()))
        }
        _ => {
            let plain =
                heads.map(|(head, trace)| bound::saliency(spec.kind, spec.query_window, head, trace, arithmetic));
            reduced(plain.collect(), group_size, output, arithmetic)
        }
    }
}

/// The tolerance of numbers that are stored in `format`; what must be exact stays so.
pub(super) fn stored(mut tolerance: ArrayD<f64>, truth: &ArrayD<f64>, format: Precision) -> ArrayD<f64> {
    tolerance.zip_mut_with(truth, |tolerance, &truth| {
        if truth.is_finite() && *tolerance > 0.0 {
            *tolerance += bound::storing(format, truth);
        }
    });
    tolerance
}

fn stack(parts: impl Iterator<Item = ArrayD<f64>>) -> ArrayD<f64> {
    let parts: Vec<ArrayD<f64>> = parts.collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::stack(Axis(0), &views).expect("a problem has heads, all of one shape")
}

/// A maximum is off by at most the largest tolerance, an average by the average; and each rounds for itself.
fn reduced(mut heads: Vec<Array1<f64>>, group_size: usize, output: &Output, arithmetic: &Arithmetic) -> ArrayD<f64> {
    let spec = &output.spec;
    let mut additions = 0;
    if let Some(pooling) = spec.pooling {
        heads = heads.iter().map(|head| pooled(pooling, head)).collect();
        additions += matches!(pooling, Pooling::Average { .. }) as usize * pooling.kernel();
    }
    if let Some(reduction) = spec.group_reduction {
        heads = heads.chunks(group_size).map(|group| joined(reduction, group)).collect();
        additions += (reduction != GroupReduction::Max) as usize * group_size;
    }
    let tolerance = Array2::from_shape_fn((heads.len(), heads[0].len()), |(head, j)| heads[head][j]).into_dyn();
    if spec.pooling.is_none() && spec.group_reduction.is_none() {
        return tolerance;
    }
    let rounded = output.truth.mapv(|size| arithmetic.sum(size, additions));
    tolerance + rounded
}

fn pooled(pooling: Pooling, tolerance: &Array1<f64>) -> Array1<f64> {
    let radius = pooling.radius();
    Array1::from_shape_fn(tolerance.len(), |j| {
        let neighbours = j.saturating_sub(radius)..(j + radius + 1).min(tolerance.len());
        let neighbours = neighbours.map(|l| tolerance[l]);
        match pooling {
            Pooling::Max { .. } => neighbours.fold(0.0, f64::max),
            Pooling::Average { .. } => neighbours.sum::<f64>() / pooling.kernel() as f64,
        }
    })
}

fn joined(reduction: GroupReduction, group: &[Array1<f64>]) -> Array1<f64> {
    Array1::from_shape_fn(group[0].len(), |j| {
        let tolerances = group.iter().map(|tolerance| tolerance[j]);
        match reduction {
            GroupReduction::Max => tolerances.fold(0.0, f64::max),
            GroupReduction::Sum => tolerances.sum(),
            GroupReduction::Mean => tolerances.sum::<f64>() / group.len() as f64,
        }
    })
}
