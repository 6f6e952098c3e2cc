//! A decode trace against the truth: saliencies within their bound, choices wherever the bound can tell.

use std::borrow::Cow;

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::diagnosis::{Compared, Part};
use super::judge::{Judgement, greatest_error, pragmatic, stored_tolerance};
use super::symptom::symptoms;
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
    let mut report = CaseReport {
        id: trace.id.clone(),
        family: "decode".to_owned(),
        flags: trace.flags.clone(),
        judgements: Vec::new(),
        refused: Vec::new(),
        symptoms: Vec::new(),
    };
    let mut shapely = |part: usize, shape: &[usize]| {
        let expected = trace.shapes()[part];
        let fits = shape == expected;
        if !fits {
            let reason = format!("shape {shape:?}, expected {expected:?}");
            report.refused.push((DecodeTrace::PARTS[part].to_owned(), reason));
        }
        fits
    };
    let prefill = (values.prefill_saliency.as_ref()).filter(|values| shapely(0, values.numbers.shape()));
    let step = (values.step_saliency.as_ref()).filter(|values| shapely(1, values.numbers.shape()));
    let kept = values.kept.as_ref().filter(|kept| shapely(2, kept.shape()));
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

impl Part {
    fn name(self) -> String {
        match self {
            Self::Output(spec) => spec.to_string(),
            Self::PrefillSaliency => DecodeTrace::PARTS[0].to_owned(),
            Self::StepSaliency => DecodeTrace::PARTS[1].to_owned(),
            Self::Kept => DecodeTrace::PARTS[2].to_owned(),
        }
    }

    fn axes(self) -> &'static [&'static str] {
        match self {
            Self::Output(spec) => spec.axes(),
            Self::PrefillSaliency => &["query_head", "token"],
            Self::StepSaliency => &["step", "query_head", "slot"],
            Self::Kept => &["cut", "query_head", "slot"],
        }
    }
}

impl CaseReport {
    fn judge(
        &mut self,
        part: Part,
        truth: &ArrayD<f64>,
        numbers: &ArrayD<f64>,
        tolerance: &ArrayD<f64>,
        pragmatic: f64,
    ) {
        let judgement = Judgement {
            pragmatic,
            ..Judgement::new(part.name(), part.axes(), truth, numbers, tolerance)
        };
        if !judgement.passed() && part != Part::Kept {
            let found = symptoms(part.axes(), truth, numbers, tolerance);
            self.symptoms
                .extend(found.into_iter().map(|symptom| format!("{}: {symptom}", part.name())));
        }
        self.judgements.push(judgement);
    }
}
