//! The check: is a kernel right, and where not, which bug is it?
//!
//! [`run`] takes a closure from a case and an output to numbers, and returns a [`Report`]: every output is held against
//! the certified truth within the tolerance of [`bound`](crate::bound), and what fails is compared with the known
//! bugs of [`rendering`](crate::rendering).

mod diagnosis;
mod judge;
mod report;
mod run;
mod symptom;
mod tolerance;
mod values;

pub use diagnosis::{Diagnosis, Evidence, Match, diagnose};
pub use judge::{Judge, Judgement, Worst};
pub use report::{CaseReport, FamilyLine, Report};
pub use run::{assert_case, assert_committed_case, judge_case, run};
pub use values::Values;
