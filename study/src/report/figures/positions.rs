//! Where along the sequence the errors sit.

use obcache_scores::Score;
use obd_core::Perturbation;
use plots::{Figure, LineAxes, LinePanel, PlotError, Series, line_panels};

use super::sample::sample;
use crate::measure::Measurements;
use crate::names::Quantity;

/// Bins along the sequence.
const BINS: usize = 24;

/// Share of each quantity's total that falls on each part of the sequence.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let share = |quantity| -> Vec<(f64, f64, f64, f64)> {
        let totals = bins(measurements, quantity);
        let sum: f64 = totals.iter().map(|bin| bin.1).sum();
        let mean = |(place, total): (f64, f64)| (place, total / sum, total / sum, total / sum);
        totals.into_iter().filter(|_| sum > 0.0).map(mean).collect()
    };
    let quantities = [
        Quantity::Error(Perturbation::Removal),
        Quantity::Score(Score::Value),
        Quantity::Score(Score::Key),
        Quantity::Score(Score::Joint),
        Quantity::Score(Score::Weight),
    ];
    let series = quantities.map(|quantity| Series {
        name: quantity.to_string(),
        points: share(quantity),
    });
    let caption = format!(
        "Share of the total that falls on each twenty-fourth of the sequence, from the first tokens (sinks) to the most recent; \
         an even spread would lie at the line, {:.3}. Early tokens are seen by more queries. {}.",
        1.0 / BINS as f64,
        sample(measurements)
    );
    let panel = LinePanel {
        title: "all heads".to_owned(),
        series: series.into(),
    };
    let axes = LineAxes {
        x: "position in the sequence, %",
        ticks: &[],
        y: "share of the total",
        logarithmic: false,
        reference: Some(1.0 / BINS as f64),
    };
    line_panels("Where along the sequence the errors sit", &caption, &axes, &[panel])
}

/// Sums by position along the sequence: (centre in percent, sum).
fn bins(measurements: &Measurements, quantity: Quantity) -> Vec<(f64, f64)> {
    let mut totals = [0.0; BINS];
    for row in &measurements.tokens {
        totals[row.token.0 * BINS / row.token.1] += row.number(quantity);
    }
    let centre = |bin: usize| 100.0 * (bin as f64 + 0.5) / BINS as f64;
    totals
        .into_iter()
        .enumerate()
        .map(|(bin, total)| (centre(bin), total))
        .collect()
}
