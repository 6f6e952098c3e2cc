//! A results file against the suite: every tensor that can be used is judged, every other is named with its reason.

use std::collections::BTreeSet;

use golden::check::{CaseReport, DecodeValues, Evidence, Judge, Report, Values, diagnose, judge_case, judge_trace};
use golden::{Arithmetic, Case, DecodeTrace, Output, OutputKind, Suite};
use rayon::prelude::*;

use super::results::Results;

/// Which part of the suite is asked for; nothing means all.
///
/// The decode traces are a family of their own. Outputs are asked for where no loop is: with them a trace is left only if
/// its family is asked for as well, and its score is one of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Families.
    pub families: Vec<String>,
    /// Families that are left out.
    pub skipped: Vec<String>,
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
    /// The same suite with only the cases, traces and outputs asked for.
    pub fn of(&self, suite: &Suite) -> Suite {
        let mut left = suite.clone();
        left.cases.retain(|case| self.wants(&case.family, &case.flags));
        left.decode_traces.retain(|trace| {
            let scored = self.outputs.is_empty()
                || (self.families.iter().any(|family| family == DecodeTrace::FAMILY)
                    && self.outputs.contains(&trace.policy.score));
            scored && self.wants(DecodeTrace::FAMILY, &trace.flags)
        });
        if !self.outputs.is_empty() {
            for case in &mut left.cases {
                case.outputs.retain(|output| self.outputs.contains(&output.spec.kind));
            }
        }
        left.cases.retain(|case| !case.outputs.is_empty());
        left
    }

    fn wants(&self, family: &str, flags: &[String]) -> bool {
        let among = |names: &[String]| names.iter().any(|name| name == family);
        (self.families.is_empty() || among(&self.families))
            && !among(&self.skipped)
            && (self.flags.is_empty() || flags.iter().any(|flag| self.flags.contains(flag)))
    }
}

/// Judges `results` on the selected part of `suite`, for a kernel of this arithmetic.
///
/// # Errors
/// Where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn judge(
    suite: &Suite,
    selection: &Selection,
    results: &Results,
    arithmetic: Arithmetic,
) -> Result<Verdict, obd_core::ProblemError> {
    let selected = selection.of(suite);
    let judged: Vec<(CaseReport, Vec<Option<Values>>, Judge<'_>)> = selected
        .cases
        .par_iter()
        .map(|case| {
            let judge = Judge::new(case, arithmetic)?;
            let (values, refused) = values(case, results);
            let mut report = judge_case(&judge, &values);
            report.refused.extend(refused);
            Ok((report, values, judge))
        })
        .collect::<Result<_, obd_core::ProblemError>>()?;
    let traces: Vec<(CaseReport, Evidence<'_>)> = selected
        .decode_traces
        .par_iter()
        .map(|trace| {
            let (values, refused) = decode_values(trace, results);
            let (mut report, evidence) = judge_trace(trace, &values, arithmetic)?;
            report.refused.extend(refused);
            Ok((report, evidence))
        })
        .collect::<Result<_, obd_core::ProblemError>>()?;
    let mut evidence: Vec<Evidence<'_>> = judged
        .iter()
        .map(|(_, values, judge)| evidence(judge, values))
        .collect();
    let mut cases: Vec<CaseReport> = judged.iter().map(|(report, ..)| report.clone()).collect();
    for (report, found) in traces {
        cases.push(report);
        evidence.push(found);
    }
    let failed = cases.iter().any(|report| !report.passed());
    Ok(Verdict {
        faults: faults(suite, results),
        report: Report {
            version: suite.version.clone(),
            cases,
            diagnosis: failed.then(|| diagnose(&evidence)),
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

/// Tensors that are missing or cannot be used, with the reason.
type Refused = Vec<(String, String)>;

/// The values of every output of a case, and what cannot be used.
fn values(case: &Case, results: &Results) -> (Vec<Option<Values>>, Refused) {
    let mut refused = Vec::new();
    let mut values = Vec::new();
    for output in &case.outputs {
        let name = format!("{}/{}", case.id, output.spec);
        let found = results.values(&name, output.truth.shape(), case.dtype);
        values.push(usable(name, found, &mut refused));
    }
    (values, refused)
}

/// What the results hold of a decode trace, and what cannot be used.
fn decode_values(trace: &DecodeTrace, results: &Results) -> (DecodeValues, Refused) {
    let mut refused = Vec::new();
    let [prefill, step, kept] = DecodeTrace::PARTS.map(|part| format!("{}/{part}", trace.id));
    let shapes = trace.shapes();
    let found_prefill = results.values(&prefill, shapes[0], trace.dtype);
    let found_step = results.values(&step, shapes[1], trace.dtype);
    let found_kept = results.positions(&kept, shapes[2]);
    let values = DecodeValues {
        prefill_saliency: usable(prefill, found_prefill, &mut refused),
        step_saliency: usable(step, found_step, &mut refused),
        kept: usable(kept, found_kept, &mut refused),
    };
    (values, refused)
}

fn usable<T>(name: String, found: Option<Result<T, String>>, refused: &mut Refused) -> Option<T> {
    let reason = match found {
        Some(Ok(found)) => return Some(found),
        Some(Err(reason)) => reason,
        None => "the results hold no such tensor".to_owned(),
    };
    refused.push((name, reason));
    None
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
    let traces = traces.flat_map(|trace| DecodeTrace::PARTS.map(|part| format!("{}/{part}", trace.id)));
    suite.cases.iter().flat_map(outputs).chain(traces).collect()
}

/// The known name that shares most of its beginning with `name`, if it is nearly all.
fn nearest<'a>(known: &'a BTreeSet<String>, name: &str) -> Option<&'a String> {
    let shared = |other: &str| other.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let best = known
        .iter()
        .max_by_key(|other| (shared(other), usize::MAX - other.len()))?;
    (shared(best) + 3 >= name.len()).then_some(best)
}
