//! What Optimal Brain Surgeon's update of the kept values buys, on the queries it was fitted to and on later ones.

use ndarray_linalg::error::LinalgError;
use obd_core::{QueryWindow, obs};
use reference_attention::oracle;

use super::rows::{Compensated, HeadId};
use super::split::Split;
use crate::names::{Protected, Selection};

/// A set chosen at a budget, and how it was chosen.
pub(super) struct Chosen<'a> {
    pub score: Selection,
    pub protection: Protected,
    pub budget: f64,
    pub evicted: &'a [usize],
}

/// The set's error with and without the update that is fitted on the queries of the split's score.
pub(super) fn row(
    id: &HeadId,
    split: &Split,
    window: QueryWindow,
    chosen: &Chosen,
) -> Result<Compensated, LinalgError> {
    let (scored, judged) = (&split.scored, &split.judged);
    let judged_window = split.judged_window(window);
    let fitted = obs::compensate(&scored.0, &scored.1, chosen.evicted, window)?;
    let error = |update| obs::error_with_update(&judged.0, &judged.1, chosen.evicted, update, judged_window);
    let (with, without) = (error(&fitted.value_update), error(&(&fitted.value_update * 0.0)));
    let size = oracle::error(&judged.1.output, judged_window);
    Ok(Compensated {
        capture: id.capture.clone(),
        layer: id.layer,
        head: id.head,
        window: window.into(),
        queries: split.queries,
        score: chosen.score,
        protection: chosen.protection,
        budget: chosen.budget,
        relative_error: if size > 0.0 { without / size } else { 0.0 },
        ratio: (without > 0.0).then(|| with / without),
    })
}
