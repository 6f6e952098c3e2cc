//! Which figures the report shows, and which numbers go into each.

mod agreement;
mod field;
mod gauge;
mod phi;
mod positions;
mod regret;
mod saliency;
mod sample;

pub(super) use field::cheapest_first;

use plots::{Figure, PlotError};

use crate::measure::Measurements;
use crate::names::Queries;

/// The figures with their file names, in the order of the page; one that has nothing to show is left out.
pub(super) fn draw(measurements: &Measurements) -> Result<Vec<(&'static str, Figure)>, PlotError> {
    let figures = [
        ("saliency-against-removal", saliency::against_removal(measurements)),
        ("saliency-against-zeroing", saliency::against_zeroing(measurements)),
        ("rank-agreement", agreement::figure(measurements)),
        ("regret", regret::figure(measurements, Queries::Future)),
        ("regret-in-window", regret::figure(measurements, Queries::InWindow)),
        ("field", field::figure(measurements)),
        ("phi", phi::figure(measurements)),
        ("positions", positions::figure(measurements)),
        ("compensation", regret::compensation(measurements)),
        ("gauge", gauge::figure(measurements)),
    ];
    let mut drawn = Vec::new();
    for (name, figure) in figures {
        match figure {
            Ok(figure) => drawn.push((name, figure)),
            Err(PlotError::Empty(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(drawn)
}
