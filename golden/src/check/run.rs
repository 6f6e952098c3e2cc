//! Runs a kernel over cases: the one line that a kernel crate writes.

use std::path::Path;
use std::sync::OnceLock;

use obd_core::ProblemError;

use super::diagnosis::{Evidence, Part};
use super::judge::pragmatic;
use super::{CaseReport, DecodeValues, Judge, Report, Values, diagnose, judge_trace};
use crate::{Arithmetic, Case, DecodeTrace, OutputSpec, Suite};

/// Judges `kernel` on every case of `suite`. Its arithmetic is the [`Precision`](crate::Precision) that it accumulates in,
/// or an [`Arithmetic`] where its exp and log are off by more than an ulp.
///
/// The closure gives the values of an output, or `None` for one that the kernel does not compute.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`] hands out.
///
/// ```no_run
/// use golden::{Precision, Suite, check::{self, Values}};
/// # fn my_kernel(_: &golden::Problem) -> ndarray::ArrayD<f32> { unimplemented!() }
///
/// let suite = Suite::read(std::path::Path::new("vectors")).unwrap();
/// let report = check::run(&suite, Precision::F32, |case, output| {
///     (output.to_string() == "joint").then(|| Values::from(my_kernel(&case.problem)))
/// });
/// assert!(report.as_ref().unwrap().passed(), "{}", report.unwrap());
/// ```
pub fn run(
    suite: &Suite,
    arithmetic: impl Into<Arithmetic>,
    mut kernel: impl FnMut(&Case, &OutputSpec) -> Option<Values>,
) -> Result<Report, ProblemError> {
    let arithmetic = arithmetic.into();
    let given: Vec<Vec<Option<Values>>> = suite
        .cases
        .iter()
        .map(|case| case.outputs.iter().map(|output| kernel(case, &output.spec)).collect())
        .collect();
    let mut cases = Vec::new();
    let mut evidence = Vec::new();
    for (case, values) in suite.cases.iter().zip(&given) {
        let judge = Judge::new(case, arithmetic)?;
        cases.push(judge_case(&judge, values));
        let whole = case.outputs.iter().zip(values).filter_map(|(output, values)| {
            let values = values
                .as_ref()
                .filter(|values| values.numbers.shape() == output.truth.shape())?;
            Some((output, values))
        });
        evidence.push(Evidence::new(&judge, &whole.collect::<Vec<_>>()));
    }
    Ok(report(suite, cases, &evidence))
}

/// Judges `decode` on every decode trace of `suite`; it gives `None` for a trace that it does not follow.
///
/// # Errors
/// [`ProblemError`] where a trace is no attention problem; none that [`Suite::read`] hands out.
pub fn run_traces(
    suite: &Suite,
    arithmetic: impl Into<Arithmetic>,
    mut decode: impl FnMut(&DecodeTrace) -> Option<DecodeValues>,
) -> Result<Report, ProblemError> {
    let arithmetic = arithmetic.into();
    let mut cases = Vec::new();
    let mut evidence = Vec::new();
    for trace in &suite.decode_traces {
        let Some(values) = decode(trace) else { continue };
        let (judged, found) = judge_trace(trace, &values, arithmetic)?;
        cases.push(judged);
        evidence.push(found);
    }
    Ok(report(suite, cases, &evidence))
}

fn report(suite: &Suite, cases: Vec<CaseReport>, evidence: &[Evidence<'_>]) -> Report {
    let failed = cases.iter().any(|case| !case.passed());
    Report {
        version: suite.version.clone(),
        cases,
        diagnosis: failed.then(|| diagnose(evidence)),
    }
}

/// Judges the outputs of one case, `values` in the order of the case's outputs.
pub fn judge_case(judge: &Judge<'_>, values: &[Option<Values>]) -> CaseReport {
    let case = judge.case();
    let mut report = CaseReport::new(&case.id, &case.family, &case.flags);
    for (output, values) in case.outputs.iter().zip(values) {
        let Some(values) = values else { continue };
        let part = Part::Output(output.spec);
        if report.fits(part, values.numbers.shape(), output.truth.shape()) {
            let tolerance = judge.tolerance(output, values.stored);
            let pragmatic = pragmatic(&output.truth, values, judge.naive(output));
            report.judge(part, &output.truth, &values.numbers, &tolerance, pragmatic);
        }
    }
    report
}

/// Judges `kernel` on the case named `id` and panics with the report where it fails: the body of a `#[test]`.
///
/// # Panics
/// Where the kernel fails, gives an output of another shape, or the suite holds no such case.
pub fn assert_case(
    suite: &Suite,
    id: &str,
    arithmetic: impl Into<Arithmetic>,
    kernel: impl FnMut(&Case, &OutputSpec) -> Option<Values>,
) {
    let cases: Vec<Case> = suite.cases.iter().filter(|case| case.id == id).cloned().collect();
    assert!(!cases.is_empty(), "the suite holds no case {id}");
    let alone = Suite { cases, ..only(suite) };
    assert_report(id, run(&alone, arithmetic, kernel));
}

/// [`assert_case`] on the suite that is committed beside this crate, read once a process: what
/// [`conformance!`](crate::conformance) calls.
///
/// # Panics
/// As [`assert_case`], and where the suite cannot be read.
pub fn assert_committed_case(
    id: &str,
    arithmetic: impl Into<Arithmetic>,
    kernel: impl FnMut(&Case, &OutputSpec) -> Option<Values>,
) {
    assert_case(committed(), id, arithmetic, kernel);
}

/// Judges `decode` on the decode trace named `id` of the committed suite and panics with the report where it fails.
///
/// # Panics
/// Where the kernel fails, gives a part of another shape, the suite holds no such trace, or cannot be read.
pub fn assert_committed_trace(
    id: &str,
    arithmetic: impl Into<Arithmetic>,
    decode: impl FnMut(&DecodeTrace) -> Option<DecodeValues>,
) {
    let suite = committed();
    let traces = suite.decode_traces.iter().filter(|trace| trace.id == id);
    let decode_traces: Vec<DecodeTrace> = traces.cloned().collect();
    assert!(!decode_traces.is_empty(), "the suite holds no decode trace {id}");
    let alone = Suite {
        decode_traces,
        ..only(suite)
    };
    assert_report(id, run_traces(&alone, arithmetic, decode));
}

/// The suite without its cases and traces.
fn only(suite: &Suite) -> Suite {
    Suite {
        version: suite.version.clone(),
        flags: suite.flags.clone(),
        cases: Vec::new(),
        decode_traces: Vec::new(),
    }
}

fn assert_report(id: &str, report: Result<Report, ProblemError>) {
    match report {
        Ok(report) => assert!(report.passed() && report.complete(), "\n{report}"),
        Err(error) => panic!("{id}: {error}"),
    }
}

fn committed() -> &'static Suite {
    static COMMITTED: OnceLock<Suite> = OnceLock::new();
    COMMITTED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
        Suite::read(&folder).unwrap_or_else(|error| panic!("{error}"))
    })
}
