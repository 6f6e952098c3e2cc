//! A results file against the suite: every tensor that can be used is judged, every other is named with its reason.

use std::collections::BTreeSet;

use golden::check::{CaseReport, Evidence, Judge, Report, Values, diagnose, judge_case};
use golden::{Case, Output, OutputKind, Precision, Suite};
use rayon::prelude::*;

use super::results::Results;

/// Which part of the suite is asked for; nothing means all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Families.
    pub families: Vec<String>,
    /// Names of the bugs that a case catches.
    pub flags: Vec<String>,
    /// Outputs, by the name of their kind.
    pub outputs: Vec<OutputKind>,
}

/// What a results file was found to be.
#[derive(Debug)]
pub struct Verdict {
    /// Every case that was asked for.
    pub report: Report,
    /// What is wrong with the file beside its cases: another version, tensors that nobody asked for.
    pub faults: Vec<String>,
}

impl Selection {
    /// The same suite with only the cases and outputs asked for.
    pub fn of(&self, suite: &Suite) -> Suite {
        let among = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        let mut cases: Vec<Case> = suite
            .cases
            .iter()
            .filter(|case| among(&self.families, &case.family))
            .filter(|case| self.flags.is_empty() || case.flags.iter().any(|flag| self.flags.contains(flag)))
            .cloned()
            .collect();
        if !self.outputs.is_empty() {
            for case in &mut cases {
                case.outputs.retain(|output| self.outputs.contains(&output.spec.kind));
            }
        }
        cases.retain(|case| !case.outputs.is_empty());
        Suite { cases, ..suite.clone() }
    }
}

/// Judges `results` on the selected part of `suite`, for a kernel that accumulates in `accumulate`.
///
/// # Errors
/// Where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn judge(
    suite: &Suite,
    selection: &Selection,
    results: &Results,
    accumulate: Precision,
) -> Result<Verdict, obd_core::ProblemError> {
    let selected = selection.of(suite);
    let judged: Vec<(CaseReport, Vec<Option<Values>>, Judge<'_>)> = selected
        .cases
        .par_iter()
        .map(|case| {
            let judge = Judge::new(case, accumulate)?;
            let (values, refused) = values(case, results);
            let mut report = judge_case(&judge, &values);
            report.refused.extend(refused);
            Ok((report, values, judge))
        })
        .collect::<Result<_, obd_core::ProblemError>>()?;
    let failed = judged.iter().any(|(report, ..)| !report.passed());
    let diagnosis = failed.then(|| {
        let evidence: Vec<Evidence<'_>> = judged
            .iter()
            .map(|(_, values, judge)| evidence(judge, values))
            .collect();
        diagnose(&evidence)
    });
    Ok(Verdict {
        faults: faults(suite, results),
        report: Report {
            version: suite.version.clone(),
            cases: judged.into_iter().map(|(report, ..)| report).collect(),
            diagnosis,
        },
    })
}

fn evidence<'a>(judge: &Judge<'a>, values: &'a [Option<Values>]) -> Evidence<'a> {
    let outputs: Vec<(&'a Output, &'a Values)> = judge
        .case()
        .outputs
        .iter()
        .zip(values)
        .filter_map(|(output, values)| Some((output, values.as_ref()?)))
        .collect();
    Evidence::new(judge, &outputs)
}

/// The values of every output of a case, and those that are missing or cannot be used, with the reason.
fn values(case: &Case, results: &Results) -> (Vec<Option<Values>>, Vec<(String, String)>) {
    let mut refused = Vec::new();
    let mut values = Vec::new();
    for output in &case.outputs {
        let name = format!("{}/{}", case.id, output.spec);
        let found = results.values(&name, output.truth.shape(), case.dtype);
        values.push(match found {
            Some(Ok(found)) => Some(found),
            Some(Err(reason)) => {
                refused.push((name, reason));
                None
            }
            None => {
                refused.push((name, "the results hold no such tensor".to_owned()));
                None
            }
        });
    }
    (values, refused)
}

/// What is wrong with the file as a whole.
fn faults(suite: &Suite, results: &Results) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(version) = results.version.as_ref().filter(|version| **version != suite.version) {
        faults.push(format!(
            "the results are of suite {version}, this is suite {}: numbers may have moved",
            suite.version
        ));
    }
    let known = known(suite);
    for name in results.names().filter(|name| !known.contains(*name)) {
        faults.push(match nearest(&known, name) {
            Some(near) => format!("{name}: the suite asks for no such tensor; is it {near}?"),
            None => format!("{name}: the suite asks for no such tensor"),
        });
    }
    faults
}

/// Every tensor that the suite asks for.
fn known(suite: &Suite) -> BTreeSet<String> {
    let outputs = |case: &Case| -> Vec<String> {
        case.outputs
            .iter()
            .map(|output| format!("{}/{}", case.id, output.spec))
            .collect()
    };
    let traces = suite.decode_traces.iter();
    let traces = traces.flat_map(|trace| TRACE_PARTS.map(|part| format!("{}/{part}", trace.id)));
    suite.cases.iter().flat_map(outputs).chain(traces).collect()
}

/// The tensors of a decode trace.
pub const TRACE_PARTS: [&str; 3] = ["prefill-saliency", "step-saliency", "kept"];

/// The known name that shares most of its beginning with `name`, if it is nearly all.
fn nearest<'a>(known: &'a BTreeSet<String>, name: &str) -> Option<&'a String> {
    let shared = |other: &str| other.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let best = known
        .iter()
        .max_by_key(|other| (shared(other), usize::MAX - other.len()))?;
    (shared(best) + 3 >= name.len()).then_some(best)
}
