//! The one way from a kernel's answers to a report: every number against its bound, and every failure to its cause.

use obd_core::ProblemError;
use rayon::prelude::*;

use super::case::{Judge, judge_case};
use super::diagnosis::diagnose;
use super::evidence::Evidence;
use super::report::{CaseReport, Report};
use super::trace::judge_trace;
use super::{Answer, Given};
use crate::Arithmetic;

/// Judges what a kernel of this arithmetic gave for the cases and traces of a suite. A case or trace of which the kernel
/// computes nothing is not in the report.
///
/// Tests ([`conformance!`](crate::conformance)), closures ([`run`](super::run)) and results files all come here.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`](crate::Suite::read) hands out.
pub fn judge(given: &Given<'_>, arithmetic: impl Into<Arithmetic>) -> Result<Report, ProblemError> {
    let arithmetic = arithmetic.into();
    let cases = given.suite.cases.par_iter().zip(&given.cases);
    let computed = cases.filter(|(_, answers)| answers.iter().any(|answer| *answer != Answer::NotComputed));
    let cases = computed.map(|(case, answers)| Ok(judge_case(&Judge::new(case, arithmetic)?, answers)));
    let traces = given.suite.decode_traces.par_iter().zip(&given.traces);
    let followed = traces.filter_map(|(trace, answers)| Some((trace, answers.as_ref()?)));
    let traces = followed.map(|(trace, answers)| judge_trace(trace, answers, arithmetic));
    let judged: Vec<(CaseReport, Evidence<'_>)> = cases.chain(traces).collect::<Result<_, ProblemError>>()?;
    let (cases, evidence): (Vec<CaseReport>, Vec<Evidence<'_>>) = judged.into_iter().unzip();
    let failed = cases.iter().any(|case| !case.passed());
    Ok(Report {
        version: given.suite.version.clone(),
        cases,
        diagnosis: failed.then(|| diagnose(&evidence)),
    })
}
