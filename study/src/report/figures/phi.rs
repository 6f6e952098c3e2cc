//! Where first order holds for a zeroed key (claim C10).

use obcache_scores::exact::phi;
use plots::{Figure, Map, PlotError, map_with_points};

use crate::measure::Measurements;

/// The factor phi over weight and logit, with the pairs of the captures.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let points = &measurements.phi_points;
    let reach = points
        .iter()
        .fold(1.0f64, |reach, point| reach.max(point.1.abs()))
        .min(30.0)
        .ceil();
    let map = Map {
        x: (1e-6, 1.0 - 1e-9),
        y: (-reach, reach),
        field: phi::phi,
        reach: 10.0,
        points,
    };
    let caption = format!(
        "phi(a, z), the factor by which the true change of the output under key zeroing exceeds the first-order one, whatever \
         the values (claim C10): 1 where the logit z is 0. The dots are {} (weight, logit) pairs of the captures; first \
         order is right where they lie on the pale band.",
        points.len()
    );
    map_with_points(
        "Where first order holds for a zeroed key",
        &caption,
        ("weight a", "logit z"),
        &map,
    )
}
