//! The rate-distortion figure: what the output loses at each number of bits.

use std::collections::BTreeMap;

use plots::{Figure, LineAxes, LinePanel, PlotError, Series, line_panels};

use super::measure::{BitAllocations, Rate, Spending};
use crate::agreement::bootstrap;

/// Error of the output against bits per number, true and predicted, geometric means over the KV heads.
///
/// # Errors
/// [`PlotError`] where there is nothing to draw.
pub fn rate_distortion(allocations: &BitAllocations) -> Result<Figure, PlotError> {
    let panels = [
        panel("true error, attention run again", allocations, |rate| rate.distortion),
        panel("predicted by the model", allocations, |rate| rate.predicted),
    ];
    let caption = "Error of the output over its squared norm against the bits that a number of the cache takes on average, the 32 bits of \
        each group's scale and offset included; geometric mean over the KV heads, bands are 95 % bootstrap intervals. Eviction only stores in 16 \
        bits what it keeps; uniform bits round every number alike and evict nothing; joint gives each token and each key channel its own \
        bits, 0 being eviction. The model adds the exact errors of tokens evicted one by one and the noise of rounding, both as if they \
        did not interact: where the two panels differ, they do.";
    let axes = LineAxes {
        x: "bits per number",
        ticks: &[],
        y: "error over squared norm",
        logarithmic: true,
        reference: None,
    };
    line_panels("What the output loses at each rate", caption, &axes, &panels)
}

fn panel(title: &str, allocations: &BitAllocations, number: fn(&Rate) -> f64) -> LinePanel {
    LinePanel {
        title: title.to_owned(),
        series: Spending::ALL
            .map(|spending| series(allocations, spending, number))
            .into(),
    }
}

/// Means by budget; a rate at which some KV head loses nothing has no geometric mean and is left out.
fn series(allocations: &BitAllocations, spending: Spending, number: fn(&Rate) -> f64) -> Series {
    let mut logarithms: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for rate in allocations.rates.iter().filter(|rate| rate.spending == spending) {
        // The bits of a number not below 0 ascend with it.
        logarithms
            .entry(rate.budget.to_bits())
            .or_default()
            .push(number(rate).ln());
    }
    let point = |(budget, logarithms): (u64, Vec<f64>)| {
        let interval = bootstrap(&logarithms).filter(|interval| interval.mean.is_finite())?;
        let [mean, low, high] = [interval.mean, interval.low, interval.high].map(f64::exp);
        Some((f64::from_bits(budget), mean, low, high))
    };
    Series {
        name: spending.name().to_owned(),
        points: logarithms.into_iter().filter_map(point).collect(),
    }
}
