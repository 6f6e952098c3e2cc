//! The check: is a kernel right, and where not, which bug is it?
//!
//! [`run`] takes a closure from a case and an output to numbers, and returns a [`Report`]: every output is held against
//! the certified truth within the tolerance of [`bound`](crate::bound), and what fails is compared with the known
//! bugs of [`rendering`](crate::rendering). [`run_traces`] does the same for decode traces.

mod case_report;
mod diagnosis;
mod judge;
mod report;
mod run;
mod symptom;
mod tolerance;
mod trace;
mod values;
mod walk;

pub use diagnosis::{Diagnosis, Evidence, Match, diagnose};
pub use judge::{Judge, Judgement, Worst, error_in_bounds};
pub use report::{CaseReport, FamilyLine, Report};
pub use run::{assert_case, assert_committed_case, assert_committed_trace, judge_case, run, run_traces};
pub use trace::{DecodeValues, judge_trace};
pub use values::Values;
