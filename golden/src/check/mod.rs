//! The check: is a kernel right, and where not, which bug is it?
//!
//! [`run`] takes a closure from a case and an output to numbers, [`run_traces`] one for decode traces, and [`judge`] any
//! answers, those of a file as well. Each returns a [`Report`]: every output is held against the certified truth within
//! the tolerance of [`bound`](crate::bound), and what fails is compared with the known bugs of
//! [`rendering`](crate::rendering).

mod answer;
mod assert;
mod case;
mod case_report;
mod diagnosis;
mod evidence;
mod judge;
mod judgement;
mod part;
mod report;
mod run;
mod symptom;
mod tolerance;
mod trace;
mod values;
mod walk;

pub use answer::{Answer, DecodeValues, Given, TraceAnswers};
pub use assert::{assert_case, assert_committed_case, assert_committed_trace};
pub use case::{Judge, judge_case};
pub use diagnosis::{Diagnosis, Match, diagnose};
pub use evidence::{Compared, Evidence};
pub use judge::judge;
pub use judgement::{Judgement, Worst, error_in_bounds};
pub use part::Part;
pub use report::{CaseReport, FamilyLine, Report};
pub use run::{run, run_traces};
pub use trace::judge_trace;
pub use values::Values;
