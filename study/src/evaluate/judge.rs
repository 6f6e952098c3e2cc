//! A document under a thinned cache, judged beside the whole cache.

use ndarray::Array2;
use reference_model::{KvCache, Model};

use super::error::EvaluateError;
use super::eviction::{Prompt, Thinned, rows_from};
use super::prediction::{Judged, Predictions};
use super::{Document, DocumentRow, Grouping, Method, When};

/// A document that was read once, with what the whole cache predicts.
pub(super) struct Judge<'a> {
    pub model: &'a Model<f32>,
    pub document: &'a Document,
    pub prompt: Prompt<'a>,
    pub full: Predictions,
}

impl<'a> Judge<'a> {
    /// Reads the document.
    pub fn new(model: &'a Model<f32>, document: &'a Document) -> Result<Self, EvaluateError> {
        let prompt = Prompt::new(model, document)?;
        let hidden = model.decode(document.inputs(), &mut prompt.cache().clone(), &mut |_, _, _| Ok(()))?;
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

    /// How the cache predicts from which `method` evicts.
    pub fn thinned(
        &self,
        method: Method,
        grouping: Grouping,
        budget: u32,
        when: When,
    ) -> Result<Judged, EvaluateError> {
        let mut thinned = self.prompt.thinned(method, grouping, self.tokens(budget))?;
        let hidden = match when {
            When::Prefill => return self.judged(&mut thinned.cache),
            When::Decode => self.evicting(&mut thinned)?,
        };
        Ok(predictions(self.model, self.document, &hidden).judged(&self.full))
    }

    /// How a cache predicts that keeps all it is given.
    pub fn judged(&self, cache: &mut KvCache<f32>) -> Result<Judged, EvaluateError> {
        let hidden = self
            .model
            .decode(self.document.inputs(), cache, &mut |_, _, _| Ok(()))?;
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

    /// The row of a method.
    pub fn row(&self, method: Method, (grouping, when, budget): (Grouping, When, u32), judged: Judged) -> DocumentRow {
        DocumentRow {
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
