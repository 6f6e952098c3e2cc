//! Runs a kernel, given as a closure, over a suite.

use obd_core::ProblemError;

use super::judge::judge;
use super::report::Report;
use super::{Answer, DecodeValues, Given, TraceAnswers, Values};
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
/// # fn my_kernel(_: &golden::AttentionProblem) -> ndarray::ArrayD<f32> { unimplemented!() }
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
    let output = |case: &Case, output: &crate::Output| kernel(case, &output.spec).into();
    judge(&Given::ask(suite, output, |_| None), arithmetic)
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
    let trace = |trace: &DecodeTrace| decode(trace).map(TraceAnswers::from);
    judge(&Given::ask(suite, |_, _| Answer::NotComputed, trace), arithmetic)
}
