//! A case, or a decode trace, as the body of a `#[test]`: the report is the message of the failure.

use std::path::Path;
use std::sync::OnceLock;

use obd_core::ProblemError;

use super::report::Report;
use super::run::{run, run_traces};
use super::{DecodeValues, Values};
use crate::{Arithmetic, Case, DecodeTrace, OutputSpec, Suite};

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
