//! Behind the output projection: what the query heads of one KV head lose together, against what scores say of each (C17).

use capture::Capture;
use ndarray::{Array1, Array2, s};
use obcache_scores::exact::projection;
use obcache_scores::{SelectionError, accumulate};
use obd_core::{AttentionTrace, GroupReduction, Head};
use rayon::prelude::*;

use super::contributions::{Contributions, Sums};
use super::error::MeasureError;
use super::grid::{BUDGETS, WINDOWS};
use super::rows::Projection;
use super::split::attended;
use crate::agreement::{overlap, spearman};
use crate::names::{GroupScore, Ranking};

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
    for window in WINDOWS {
        let truth = accumulate(&projected.together, window);
        let apart = accumulate(&projected.apart, window);
        let sums: Vec<Sums> = contributions.iter().map(|head| head.sums(window)).collect();
        let mut saliencies = vec![(GroupScore::PerHeadErrors, GroupReduction::Sum, apart)];
        for ranking in Ranking::all() {
            let heads: Vec<Array1<f64>> = sums.iter().map(|head| head.ranking(ranking)).collect();
            for reduction in GroupReduction::ALL {
                let joined = reduction.reduce(&heads);
                let joined = joined.expect("a group has heads, all over the same tokens");
                saliencies.push((GroupScore::Ranking(ranking), reduction, joined));
            }
        }
        for (score, reduction, saliency) in saliencies {
            let agreement = agreement(&saliency, &truth).map_err(|source| MeasureError::Selection {
                capture: capture.name(),
                layer: layer.index,
                head: kv_head,
                source,
            })?;
            let (together, apart) = (truth.sum(), saliency.sum());
            rows.push(Projection {
                capture: capture.name(),
                layer: layer.index,
                kv_head,
                window: window.into(),
                score,
                reduction,
                tokens: truth.len(),
                spearman: agreement.0,
                overlap_20: agreement.1,
                ratio: (score == GroupScore::PerHeadErrors && apart > 0.0).then(|| together / apart),
            });
        }
    }
    Ok(rows)
}

/// Spearman's correlation of a saliency with the truth, and the overlap of their best 20 %.
fn agreement(saliency: &Array1<f64>, truth: &Array1<f64>) -> Result<(Option<f64>, Option<f64>), SelectionError> {
    let kept = (BUDGETS[2] * truth.len() as f64) as usize;
    let overlap = overlap(saliency, truth, kept)?;
    Ok((spearman(&saliency.to_vec(), &truth.to_vec()), overlap))
}
