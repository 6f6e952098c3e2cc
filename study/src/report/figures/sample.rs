//! Over which tokens a figure is drawn.

use std::collections::BTreeSet;

use plots::ScatterAxes;

use crate::measure::Measurements;

/// The tokens and heads of a figure, in words.
pub(super) fn sample(measurements: &Measurements) -> String {
    let heads: BTreeSet<_> = measurements
        .tokens
        .iter()
        .map(|row| (&row.id.capture, row.id.layer, row.id.head))
        .collect();
    format!(
        "n = {} tokens of {} heads, all queries in the window",
        measurements.tokens.len(),
        heads.len()
    )
}

/// Axes that share a unit, so that the diagonal means equality.
pub(super) fn one_unit<'a>(x: &'a str, y: &'a str) -> ScatterAxes<'a> {
    ScatterAxes { x, y, one_unit: true }
}
