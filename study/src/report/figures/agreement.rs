//! How well each score ranks, head by head.

use std::collections::BTreeSet;

use obcache_scores::Score;
use obd_core::{Perturbation, QueryWindow};
use plots::{Figure, HeatPanel, PlotError, heat_maps};

use super::sample::sample;
use crate::measure::{Agreement, Measurements};
use crate::names::Queries;

/// Rank correlation with the error of removal by layer and head, all queries in the window.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let wanted = |row: &&Agreement| {
        (row.window, row.queries, row.truth)
            == (QueryWindow::All.into(), Queries::InWindow, Perturbation::Removal.into())
    };
    let rows: Vec<&Agreement> = measurements.agreements.iter().filter(wanted).collect();
    let layers: Vec<usize> = rows
        .iter()
        .map(|row| row.layer)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let heads: Vec<usize> = rows
        .iter()
        .map(|row| row.head)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let cell = |score: Score, layer: usize, head: usize| {
        let here = rows
            .iter()
            .filter(|row| row.score == score.into() && row.layer == layer && row.head == head);
        let values: Vec<f64> = here.filter_map(|row| row.spearman).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let scores = [
        Score::Value,
        Score::Key,
        Score::Joint,
        Score::KeyLse,
        Score::JointLse,
        Score::Weight,
    ];
    let panels = scores.map(|score| HeatPanel {
        title: score.to_string(),
        rows: layers.iter().map(usize::to_string).collect(),
        columns: heads.iter().map(usize::to_string).collect(),
        values: layers
            .iter()
            .map(|&layer| heads.iter().map(|&head| cell(score, layer, head)).collect())
            .collect(),
    });
    let caption = format!(
        "Spearman's rank correlation of each score with the exact error of removal, by layer and query head, mean over the \
         captures; 1 is the same order, 0 none. {}.",
        sample(measurements)
    );
    heat_maps(
        "Which heads a score ranks rightly",
        &caption,
        ("layer", "query head"),
        &panels,
    )
}
