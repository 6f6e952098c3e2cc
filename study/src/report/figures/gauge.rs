//! One vector added to all keys (claim C14).

use plots::{Figure, PlotError, ScatterPanel, scatter_panels};

use super::sample::one_unit;
use crate::measure::Measurements;

/// Every token's number before and after the shift, on the head that it reorders most.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let Some(example) = &measurements.gauge_example else {
        return Err(PlotError::Empty("gauge".to_owned()));
    };
    let pairs = |(before, after): &(Vec<f64>, Vec<f64>)| before.iter().copied().zip(after.iter().copied()).collect();
    let panel = |title: &str, points| ScatterPanel {
        title: title.to_owned(),
        points,
        band: None,
    };
    let panels = [
        panel("key score", pairs(&example.key)),
        panel("joint score", pairs(&example.joint)),
        panel("error of removal", pairs(&example.removal)),
    ];
    let id = &example.id;
    let caption = format!(
        "Capture {}, layer {}, head {}: every token's number before and after one vector, as long as the mean key, is added to all \
         keys. Weights, outputs and the true error stay as they were; the key and the joint score do not (claim C14). This is the \
         head whose key ranking moves most. n = {} tokens, all queries.",
        id.capture,
        id.layer,
        id.head,
        example.key.0.len()
    );
    scatter_panels(
        "One vector added to all keys",
        &caption,
        one_unit("before", "after"),
        &panels,
    )
}
