//! Behind the output projection: what the query heads of one KV head lose together, against what scores say of each (C17).

use capture::Capture;
use ndarray::{Array1, Array2, s};
use obcache_scores::{GroupReduction, SelectionError, accumulate, projection};
use obd_core::{AttentionTrace, Head};
use rayon::prelude::*;

use super::BUDGETS;
use super::MeasureError;
use super::head::WINDOWS;
use super::ranking::{Contributions, names};
use super::rows::Projection;
use super::split::attended;
use crate::agreement::{overlap, spearman};

/// Reductions with the names they have in the tables.
const REDUCTIONS: [(&str, GroupReduction); 3] = [
    ("sum", GroupReduction::Sum),
    ("mean", GroupReduction::Mean),
    ("max", GroupReduction::Max),
];

/// Name of the sum of per-head errors, each behind its own part of W_O.
pub(crate) const PER_HEAD: &str = "per-head errors behind W_O";

/// All KV heads of a capture whose layer has an output projection: position of the layer and KV head.
pub(super) fn places(capture: &Capture) -> Vec<(&Capture, usize, usize)> {
    let projected = |position: &usize| capture.layers()[*position].o_proj.is_some();
    let layers = (0..capture.layers().len()).filter(projected);
    layers
        .flat_map(|position| (0..capture.groups().num_kv_heads()).map(move |kv_head| (capture, position, kv_head)))
        .collect()
}

/// Every score reduced over the group, and the sum of per-head errors, beside the true error behind W_O.
pub(super) fn rows(&(capture, position, kv_head): &(&Capture, usize, usize)) -> Result<Vec<Projection>, MeasureError> {
    let layer = &capture.layers()[position];
    let heads = capture.groups().query_heads(kv_head);
    let group: Vec<(Head, AttentionTrace)> = heads
        .clone()
        .map(|head| capture.head(position, head).map(attended))
        .collect::<Result<_, _>>()?;
    let value_dim = capture.metadata().value_dim;
    let columns = |head: usize| {
        let o_proj = layer.o_proj.as_ref()?;
        Some(
            o_proj
                .slice(s![.., head * value_dim..(head + 1) * value_dim])
                .to_owned(),
        )
    };
    let projections: Option<Vec<Array2<f64>>> = heads.map(columns).collect();
    let Some(projected) = projections.and_then(|projections| projection::removal(&group, &projections)) else {
        return Ok(Vec::new());
    };
    let contributions: Vec<Contributions> = group
        .par_iter()
        .map(|(head, trace)| Contributions::new(head, trace))
        .collect();
    let mut rows = Vec::new();
    for (window_name, window) in WINDOWS {
        let truth = accumulate(&projected.together, window);
        let apart = accumulate(&projected.apart, window);
        let rankings: Vec<Vec<Array1<f64>>> = contributions.iter().map(|head| head.sums(window).rankings()).collect();
        let mut saliencies = vec![(PER_HEAD.to_owned(), "sum", apart)];
        for (place, score) in names().into_iter().enumerate() {
            let heads: Vec<Array1<f64>> = rankings.iter().map(|head| head[place].clone()).collect();
            for (name, reduction) in REDUCTIONS {
                saliencies.extend(reduction.reduce(&heads).map(|saliency| (score.clone(), name, saliency)));
            }
        }
        for (score, reduction, saliency) in saliencies {
            let row = row(window_name, (&score, reduction), &saliency, &truth);
            let row = row.map_err(|source| MeasureError::Selection {
                capture: capture.name(),
                layer: layer.index,
                head: kv_head,
                source,
            })?;
            rows.push(Projection {
                capture: capture.name(),
                layer: layer.index,
                kv_head,
                ..row
            });
        }
    }
    Ok(rows)
}

/// The row of one saliency; where it stands is filled in by the caller.
fn row(
    window: &str,
    (score, reduction): (&str, &str),
    saliency: &Array1<f64>,
    truth: &Array1<f64>,
) -> Result<Projection, SelectionError> {
    let kept = (BUDGETS[2] * truth.len() as f64) as usize;
    let errors = (truth.sum(), saliency.sum());
    Ok(Projection {
        capture: String::new(),
        layer: 0,
        kv_head: 0,
        window: window.to_owned(),
        score: score.to_owned(),
        reduction: reduction.to_owned(),
        tokens: truth.len(),
        spearman: spearman(&saliency.to_vec(), &truth.to_vec()),
        overlap_20: overlap(saliency, truth, kept)?,
        ratio: (score == PER_HEAD && errors.1 > 0.0).then(|| errors.0 / errors.1),
    })
}
