//! Each token's saliency against the true error of what is done to it.

use obcache_scores::Score;
use obd_core::Perturbation;
use plots::{Figure, PlotError, ScatterPanel, scatter_panels};

use super::sample::{one_unit, sample};
use crate::measure::Measurements;
use crate::names::Quantity;

/// The scores of the paper and their like against the error of removal.
pub(super) fn against_removal(measurements: &Measurements) -> Result<Figure, PlotError> {
    let scores = [
        Score::Value,
        Score::Key,
        Score::Joint,
        Score::KeyLse,
        Score::JointLse,
        Score::Weight,
    ];
    let panels = scores.map(|score| ScatterPanel {
        title: score.name().to_owned(),
        points: cloud(measurements, score, Perturbation::Removal),
        band: None,
    });
    let caption = format!(
        "Each token's saliency against the exact error of its removal, both summed over the queries. On the black diagonal \
         they are equal; what decides an eviction is only the order. Darker cells hold more tokens. {}.",
        sample(measurements)
    );
    scatter_panels(
        "Saliency against the true error of eviction",
        &caption,
        one_unit("saliency", "error of removal"),
        &panels,
    )
}

/// Each closed form against the perturbation that it expands.
pub(super) fn against_zeroing(measurements: &Measurements) -> Result<Figure, PlotError> {
    let pairs = [
        (Score::Value, Perturbation::ValueZeroing),
        (Score::Key, Perturbation::KeyZeroing),
        (Score::Joint, Perturbation::JointZeroing),
    ];
    let panels = pairs.map(|(score, what)| ScatterPanel {
        title: format!("{} against {}", score.name(), what.name()),
        points: cloud(measurements, score, what),
        band: (score == Score::Key).then(|| central_band(measurements)).flatten(),
    });
    let caption = format!(
        "Each closed form against the perturbation it expands. The value score is exact (claim C9). For the key score the \
         dashed lines are the factors phi² of claim C10: between the 5 % quantile of the tokens' lower bounds and the 95 % \
         quantile of their upper ones. The joint score drops the mixed derivative (claim C11). {}.",
        sample(measurements)
    );
    scatter_panels(
        "Closed forms against what they expand",
        &caption,
        one_unit("saliency", "true error"),
        &panels,
    )
}

/// Each token as a point: a score against an error.
fn cloud(measurements: &Measurements, by: Score, what: Perturbation) -> Vec<(f64, f64)> {
    let rows = measurements.tokens.iter();
    rows.map(|row| (row.number(Quantity::Score(by)), row.number(Quantity::Error(what))))
        .collect()
}

/// The 5 % quantile of the lower and the 95 % quantile of the upper bounds of the error over the key score; `None` where no bound is
/// finite.
fn central_band(measurements: &Measurements) -> Option<(f64, f64)> {
    let quantile = |side: usize, share: f64| {
        let mut bounds: Vec<f64> = measurements
            .tokens
            .iter()
            .map(|row| row.phi[side].powi(2))
            .filter(|bound| bound.is_finite())
            .collect();
        bounds.sort_by(f64::total_cmp);
        bounds.get((share * bounds.len() as f64) as usize).copied()
    };
    Some((quantile(0, 0.05)?, quantile(1, 0.95)?))
}
