//! Runs a plan document by document, as many at once as there are cores.

use std::path::Path;

use indicatif::ProgressBar;
use ndarray::Array2;
use obcache_scores::{PolicyError, SelectionError};
use obd_core::ProblemError;
use rayon::prelude::*;
use reference_model::{KvCache, Model, ModelError};
use thiserror::Error;

use super::eviction::{Prompt, Thinned, rows_from};
use super::per_head;
use super::prediction::{Judged, Predictions};
use super::store::Store;
use super::{Document, Grouping, Method, Plan, Results, Row, Task, When};

/// Why an evaluation fails.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The model refuses a document.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What a layer computed is no attention problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// A cache and its tracker disagree.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A saliency is not a number.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A part cannot be written.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A part cannot be put into JSON.
    #[error("part: {0}")]
    Json(#[from] serde_json::Error),
    /// The folder holds parts of other settings.
    #[error("{0}: holds parts of an evaluation with other settings; delete it or choose another --out")]
    OtherPlan(String),
    /// The user asked to stop.
    #[error("interrupted; finished documents are kept, the same command goes on from them")]
    Interrupted,
}

impl EvaluateError {
    pub(super) fn file(file: &Path, reason: &std::io::Error) -> Self {
        Self::File {
            file: file.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Runs `plan` over `documents` and keeps what is finished below `out`; rows come in the order of the documents, whatever the
/// number of threads.
///
/// # Errors
/// [`EvaluateError`]; what is finished then stays, and the same call goes on from it.
pub fn run(
    model: &Model<f32>,
    plan: &Plan,
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
fn measure(model: &Model<f32>, plan: &Plan, document: &Document) -> Result<Results, EvaluateError> {
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

/// A document, read once, and what the whole cache predicts.
pub(super) struct Judge<'a> {
    pub model: &'a Model<f32>,
    pub document: &'a Document,
    pub prompt: Prompt<'a>,
    pub full: Predictions,
}

impl<'a> Judge<'a> {
    fn new(model: &'a Model<f32>, document: &'a Document) -> Result<Self, EvaluateError> {
        let prompt = Prompt::new(model, document)?;
        let hidden = model.decode(document.inputs(), &mut prompt.cache().clone(), &mut |_, _, _| {})?;
        let full = predictions(model, document, &hidden);
        Ok(Self {
            model,
            document,
            prompt,
            full,
        })
    }

    /// Tokens that a budget in percent keeps of the prompt, at least 1.
    pub fn tokens(&self, budget: u32) -> usize {
        (self.document.prompt.len() * budget as usize / 100).max(1)
    }

    fn thinned(&self, method: Method, grouping: Grouping, budget: u32, when: When) -> Result<Judged, EvaluateError> {
        let mut thinned = self.prompt.thinned(method, grouping, self.tokens(budget))?;
        let hidden = match when {
            When::Prefill => return self.judged(&mut thinned.cache),
            When::Decode => self.evicting(&mut thinned)?,
        };
        Ok(predictions(self.model, self.document, &hidden).judged(&self.full))
    }

    /// How a cache predicts that keeps all it is given.
    pub fn judged(&self, cache: &mut KvCache<f32>) -> Result<Judged, EvaluateError> {
        let hidden = self.model.decode(self.document.inputs(), cache, &mut |_, _, _| {})?;
        Ok(predictions(self.model, self.document, &hidden).judged(&self.full))
    }

    /// The hidden states of the continuation, token by token with an eviction after each.
    fn evicting(&self, thinned: &mut Thinned) -> Result<Array2<f32>, EvaluateError> {
        let inputs = self.document.inputs();
        let mut hidden = Array2::zeros((inputs.len(), self.model.config().hidden));
        for (token, mut row) in inputs.iter().zip(hidden.rows_mut()) {
            row.assign(&thinned.decode(self.model, *token)?.row(0));
            thinned.evict()?;
        }
        Ok(hidden)
    }

    fn row(&self, method: Method, (grouping, when, budget): (Grouping, When, u32), judged: Judged) -> Row {
        Row {
            document: self.document.name.clone(),
            task: self.document.task,
            length: self.document.length,
            depth: self.document.depth,
            method,
            grouping,
            when,
            budget,
            correct: judged.correct,
            loss: judged.loss,
            divergence: judged.divergence,
            agreement: judged.agreement,
        }
    }
}

fn predictions(model: &Model<f32>, document: &Document, hidden: &Array2<f32>) -> Predictions {
    let logits = model.logits(rows_from(hidden, document.judged_from - 1).view());
    Predictions::new(logits, &document.continuation[document.judged_from..])
}
