//! A decode trace against the truth: saliencies within their bound, choices wherever the bound can tell.

use std::borrow::Cow;

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::evidence::{Compared, Evidence, Subject};
use super::judgement::{greatest_error, pragmatic};
use super::part::Part;
use super::report::CaseReport;
use super::tolerance::stored;
use super::walk::Walk;
use super::{TraceAnswers, Values};
use crate::rendering::Rendering;
use crate::{Arithmetic, DecodeTrace};

/// Judges what a kernel of this arithmetic gave for `trace`. What it does not compute is passed over; what has
/// another shape is refused.
///
/// # Errors
/// [`ProblemError`] where the trace is no attention problem; none that a suite hands out.
pub fn judge_trace<'a>(
    trace: &'a DecodeTrace,
    answers: &TraceAnswers,
    arithmetic: impl Into<Arithmetic>,
) -> Result<(CaseReport, Evidence<'a>), ProblemError> {
    let mut report = CaseReport::new(&trace.id, DecodeTrace::FAMILY, &trace.flags);
    let [prefill_shape, step_shape, kept_shape] = trace.shapes();
    let prefill = report.usable(
        Part::PrefillSaliency,
        prefill_shape,
        &answers.prefill_saliency,
        Values::shape,
    );
    let step = report.usable(Part::StepSaliency, step_shape, &answers.step_saliency, Values::shape);
    let kept = report.usable(Part::Kept, kept_shape, &answers.kept, |kept| kept.shape());
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
        let tolerance = stored(tolerance, &truth, values.stored);
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
    Ok((report, Evidence::new(Subject::Trace(trace), parts)))
}

fn compared<'a>(part: Part, truth: ArrayD<f64>, numbers: ArrayD<f64>, tolerance: ArrayD<f64>) -> Compared<'a> {
    Compared {
        part,
        truth: Cow::Owned(truth),
        numbers: Cow::Owned(numbers),
        tolerance,
    }
}
