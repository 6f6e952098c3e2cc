//! A results file against the suite: every tensor that can be used is judged, every other is named with its reason.

use std::collections::BTreeSet;

use golden::check::{self, Answer, Given, Report, TraceAnswers};
use golden::{Arithmetic, Case, DecodeTrace, Output, OutputKind, Suite};

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
    let output = |case: &Case, output: &Output| {
        let name = format!("{}/{}", case.id, output.spec);
        answer(results.values(&name, output.truth.shape(), case.dtype))
    };
    let given = Given::ask(&selected, output, |trace| Some(trace_answers(trace, results)));
    Ok(Verdict {
        faults: faults(suite, results),
        report: check::judge(&given, arithmetic)?,
    })
}

fn trace_answers(trace: &DecodeTrace, results: &Results) -> TraceAnswers {
    let [prefill, step, kept] = DecodeTrace::PARTS.map(|part| format!("{}/{part}", trace.id));
    let shapes = trace.shapes();
    TraceAnswers {
        prefill_saliency: answer(results.values(&prefill, shapes[0], trace.dtype)),
        step_saliency: answer(results.values(&step, shapes[1], trace.dtype)),
        kept: answer(results.positions(&kept, shapes[2])),
    }
}

fn answer<T>(found: Option<Result<T, String>>) -> Answer<T> {
    match found {
        Some(Ok(numbers)) => Answer::Given(numbers),
        Some(Err(reason)) => Answer::Unusable(reason),
        None => Answer::Unusable("the results hold no such tensor".to_owned()),
    }
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
