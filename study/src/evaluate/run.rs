//! Runs a plan document by document, as many at once as there are cores.

use std::path::Path;

use indicatif::ProgressBar;
use rayon::prelude::*;
use reference_model::Model;

use super::error::EvaluateError;
use super::judge::Judge;
use super::per_head;
use super::store::Store;
use super::{Document, EvaluationPlan, Grouping, Method, Results, Task, When};

/// Runs `plan` over `documents` and keeps what is finished below `out`; rows come in the order of the documents, whatever the
/// number of threads.
///
/// # Errors
/// [`EvaluateError`]; what is finished then stays, and the same call goes on from it.
pub fn run(
    model: &Model<f32>,
    plan: &EvaluationPlan,
    documents: &[Document],
    out: &Path,
    progress: &ProgressBar,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<Results, EvaluateError> {
    let store = Store::open(out, plan)?;
    progress.set_length(documents.len() as u64);
    let measured = documents.par_iter().map(|document| {
        let results = match store.read(&document.name) {
            Some(results) => results,
            None if interrupted() => return Err(EvaluateError::Interrupted),
            None => {
                let results = measure(model, plan, document)?;
                store.write(&document.name, &results)?;
                results
            }
        };
        progress.inc(1);
        Ok(results)
    });
    let mut results = Results::default();
    for measured in measured.collect::<Result<Vec<_>, _>>()? {
        results.extend(measured);
    }
    Ok(results)
}

/// One document under every method, budget and grouping.
fn measure(model: &Model<f32>, plan: &EvaluationPlan, document: &Document) -> Result<Results, EvaluateError> {
    let judge = Judge::new(model, document)?;
    let mut results = Results::default();
    for &method in &plan.methods {
        if method == Method::Full {
            results.rows.push(judge.row(
                method,
                (Grouping::QueryHead, When::Prefill, 100),
                judge.full.judged(&judge.full),
            ));
            continue;
        }
        for (&grouping, &budget) in plan
            .groupings
            .iter()
            .flat_map(|g| plan.budgets.iter().map(move |b| (g, b)))
        {
            for when in When::ALL {
                if !plan.runs(document.task, method, when) {
                    continue;
                }
                let judged = judge.thinned(method, grouping, budget, when)?;
                results.rows.push(judge.row(method, (grouping, when, budget), judged));
            }
        }
    }
    if document.task == Task::Text {
        results.heads = per_head::points(&judge, &plan.methods)?;
    }
    Ok(results)
}
