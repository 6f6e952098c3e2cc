//! The verdict as JSON, for programs.

use golden::check::{CaseReport, Diagnosis, FamilyLine, Judgement, Match};
use serde_json::{Value, json};

use super::judge::Verdict;

/// The whole verdict. Numbers that JSON cannot hold are the strings `inf`, `-inf` and `NaN`.
pub fn verdict(verdict: &Verdict) -> Value {
    let report = &verdict.report;
    json!({
        "golden_suite": report.version,
        "passed": report.passed(),
        "complete": report.complete() && verdict.faults.is_empty(),
        "faults": verdict.faults,
        "diagnosis": report.diagnosis.as_ref().map(diagnosis),
        "families": report.families().iter().map(family).collect::<Vec<_>>(),
        "cases": report.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

fn diagnosis(diagnosis: &Diagnosis) -> Value {
    let list = |matches: &[Match]| -> Vec<Value> { matches.iter().map(matched).collect() };
    match diagnosis {
        Diagnosis::Matches(matches) => json!({"kind": "matches", "bugs": list(matches)}),
        Diagnosis::ErrsLike(alike) => json!({"kind": "errs-like", "bugs": list(alike)}),
        Diagnosis::Unknown(nearest) => json!({"kind": "unknown", "bugs": list(nearest.as_slice())}),
    }
}

fn matched(matched: &Match) -> Value {
    json!({
        "name": matched.deviation.name(), "sentence": matched.deviation.sentence(), "share": matched.share,
    })
}

fn family(line: &FamilyLine) -> Value {
    json!({
        "family": line.family, "cases": line.cases, "passed": line.passed, "failed": line.failed,
        "verdict": line.verdict(),
        "worst_in_bounds": number(line.worst), "worst_in_pragmatic": number(line.pragmatic),
    })
}

fn case(case: &CaseReport) -> Value {
    let refused: Vec<Value> = case
        .refused
        .iter()
        .map(|(tensor, reason)| json!({"tensor": tensor, "reason": reason}))
        .collect();
    json!({
        "id": case.id, "family": case.family, "flags": case.flags, "passed": case.passed(),
        "outputs": case.judgements.iter().map(judgement).collect::<Vec<_>>(),
        "refused": refused, "symptoms": case.symptoms,
    })
}

fn judgement(judgement: &Judgement) -> Value {
    let worst = judgement.worst.as_ref().map(|worst| {
        json!({
            "index": worst.index, "got": number(worst.got), "expected": number(worst.expected),
            "tolerance": number(worst.tolerance), "error_in_bounds": number(worst.error),
        })
    });
    json!({
        "output": judgement.output, "elements": judgement.elements, "failed": judgement.failed,
        "worst": worst, "error_in_pragmatic": number(judgement.pragmatic),
    })
}

fn number(number: f64) -> Value {
    if number.is_finite() {
        json!(number)
    } else {
        json!(number.to_string())
    }
}
