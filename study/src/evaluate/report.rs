//! The report of an evaluation: page, figures and tables, written when all of it stands.

use std::path::PathBuf;

use serde::Serialize;

use super::evaluated::Evaluated;
use super::figures::figures;
use super::page;
use super::summary::{Contest, Line};
use super::{EvaluationPlan, Results};
use crate::output::csv_of;
use crate::report::ReportError;

/// The outcome in sentences, whichever way it fell.
pub fn findings(evaluated: &Evaluated) -> Vec<String> {
    page::findings(evaluated)
}

/// The files of the report by their path inside its folder, `index.html` last; equal results give equal bytes.
///
/// # Errors
/// [`ReportError`] where a figure, a table or the page cannot be made.
pub fn render(
    plan: &EvaluationPlan,
    results: &Results,
    evaluated: &Evaluated,
) -> Result<Vec<(PathBuf, Vec<u8>)>, ReportError> {
    let figures = figures(plan, results, evaluated)?;
    let mut files = vec![
        ("rows.csv".into(), csv_of(&results.rows)?),
        ("heads.csv".into(), csv_of(&results.heads)?),
        (
            "summary.csv".into(),
            csv_of(evaluated.lines.iter().map(FlatLine::from))?,
        ),
        (
            "contests.csv".into(),
            csv_of(evaluated.contests.iter().map(FlatContest::from))?,
        ),
    ];
    for (name, figure) in &figures {
        files.push((format!("figures/{name}.svg").into(), figure.svg().as_bytes().to_vec()));
        files.push((format!("figures/{name}.png").into(), figure.png()?));
    }
    files.push((
        "index.html".into(),
        page::render(plan, evaluated, &figures)?.into_bytes(),
    ));
    Ok(files)
}

#[derive(Serialize)]
struct FlatLine {
    task: &'static str,
    grouping: &'static str,
    when: &'static str,
    method: String,
    budget: u32,
    documents: usize,
    accuracy: f64,
    accuracy_low: f64,
    accuracy_high: f64,
    perplexity: f64,
    divergence: f64,
    divergence_low: f64,
    divergence_high: f64,
    agreement: f64,
    agreement_low: f64,
    agreement_high: f64,
}

impl From<&Line> for FlatLine {
    fn from(line: &Line) -> Self {
        Self {
            task: line.task.name(),
            grouping: line.grouping.name(),
            when: line.when.name(),
            method: line.method.to_string(),
            budget: line.budget,
            documents: line.accuracy.heads,
            accuracy: line.accuracy.mean,
            accuracy_low: line.accuracy.low,
            accuracy_high: line.accuracy.high,
            perplexity: line.perplexity,
            divergence: line.divergence.mean,
            divergence_low: line.divergence.low,
            divergence_high: line.divergence.high,
            agreement: line.agreement.mean,
            agreement_low: line.agreement.low,
            agreement_high: line.agreement.high,
        }
    }
}

#[derive(Serialize)]
struct FlatContest {
    task: &'static str,
    grouping: &'static str,
    when: &'static str,
    heuristic: String,
    replacement: String,
    budget: Option<u32>,
    difference: f64,
    low: f64,
    high: f64,
    p: f64,
    documents: usize,
    verdict: &'static str,
}

impl From<&Contest> for FlatContest {
    fn from(contest: &Contest) -> Self {
        let difference = contest.paired.difference;
        Self {
            task: contest.task.name(),
            grouping: contest.grouping.name(),
            when: contest.when.name(),
            heuristic: contest.heuristic.to_string(),
            replacement: contest.replacement.to_string(),
            budget: contest.budget,
            difference: difference.mean,
            low: difference.low,
            high: difference.high,
            p: contest.paired.p,
            documents: difference.heads,
            verdict: contest.verdict().into(),
        }
    }
}
