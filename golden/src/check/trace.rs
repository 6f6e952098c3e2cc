//! A decode trace against the truth: saliencies within their bound, choices wherever the bound can tell.

use std::borrow::Cow;

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::diagnosis::{Compared, Part};
use super::judge::{greatest_error, pragmatic, stored_tolerance};
use super::walk::Walk;
use super::{CaseReport, Evidence, Values};
use crate::rendering::Rendering;
use crate::{Arithmetic, DecodeTrace};

/// What a kernel gives for a decode trace; `None` for what it does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodeValues {
    /// Saliencies after the prefill, before the cut, shape (num_query_heads, prefill).
    pub prefill_saliency: Option<Values>,
    /// Accumulated saliencies at each step before the cut, by ascending position, shape (steps, num_query_heads, heavy +
    /// recent + 1).
    pub step_saliency: Option<Values>,
    /// Positions kept after the prefill and after each step, ascending, shape (steps + 1, num_query_heads, heavy + recent).
    pub kept: Option<ArrayD<i64>>,
}

/// Judges what a kernel of this arithmetic gave for `trace`. What is `None` is passed over; what has another shape is
/// refused.
///
/// # Errors
/// [`ProblemError`] where the trace is no attention problem; none that a suite hands out.
pub fn judge_trace<'a>(
    trace: &'a DecodeTrace,
    values: &DecodeValues,
    arithmetic: impl Into<Arithmetic>,
) -> Result<(CaseReport, Evidence<'a>), ProblemError> {
    let mut report = CaseReport::new(&trace.id, DecodeTrace::FAMILY, &trace.flags);
    let [prefill_shape, step_shape, kept_shape] = trace.shapes();
    let mut fits = |part, shape: &[usize], expected| report.fits(part, shape, expected);
    let prefill = values.prefill_saliency.as_ref();
    let prefill = prefill.filter(|values| fits(Part::PrefillSaliency, values.numbers.shape(), prefill_shape));
    let step = values.step_saliency.as_ref();
    let step = step.filter(|values| fits(Part::StepSaliency, values.numbers.shape(), step_shape));
    let kept = values.kept.as_ref();
    let kept = kept.filter(|kept| fits(Part::Kept, kept.shape(), kept_shape));
    let walk = Walk::along(trace, kept, arithmetic.into())?;
    let naive = Rendering::naive(trace.dtype.into());
    let naive = naive.decode_along(&trace.problem, &trace.policy, Some(&walk.path));
    let mut parts = Vec::new();
    for (part, values, (truth, tolerance), naive) in [
        (
            Part::PrefillSaliency,
            prefill,
            walk.prefill,
            naive.prefill_saliency.into_dyn(),
        ),
        (Part::StepSaliency, step, walk.step, naive.step_saliency.into_dyn()),
    ] {
        let Some(values) = values else { continue };
        let tolerance = stored_tolerance(tolerance, &truth, values.stored);
        let naive = greatest_error(&truth, &naive);
        report.judge(
            part,
            &truth,
            &values.numbers,
            &tolerance,
            pragmatic(&truth, values, naive),
        );
        parts.push(compared(part, truth, values.numbers.clone(), tolerance));
    }
    if let Some(kept) = kept {
        let truth = walk.right.mapv(|position| position as f64).into_dyn();
        let (kept, exact) = (kept.mapv(|position| position as f64), ArrayD::zeros(truth.raw_dim()));
        report.judge(Part::Kept, &truth, &kept, &exact, 0.0);
        parts.push(compared(Part::Kept, truth, kept, exact));
    }
    report.symptoms.extend(walk.notes);
    Ok((report, Evidence::of_trace(trace, parts)))
}

fn compared<'a>(part: Part, truth: ArrayD<f64>, numbers: ArrayD<f64>, tolerance: ArrayD<f64>) -> Compared<'a> {
    Compared {
        part,
        truth: Cow::Owned(truth),
        numbers: Cow::Owned(numbers),
        tolerance,
    }
}
