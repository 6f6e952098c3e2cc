//! What an evaluation runs.

use reference_model::{Config, ModelError, Tokenizer};
use serde::{Deserialize, Serialize};

use super::{Document, Grouping, Method, Task, When, needle};

/// Text of this project's own documentation: what recall is hidden in and what is predicted, unless another is given.
pub const HELD_OUT: &str = include_str!("held_out.txt");

/// Share of a text that is read before the eviction, in percent.
const PROMPT: usize = 75;

/// What an evaluation runs; two equal plans over one model give the same numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationPlan {
    /// Name of the model.
    pub model: String,
    /// What is asked.
    pub tasks: Vec<Task>,
    /// The ways to choose what is kept.
    pub methods: Vec<Method>,
    /// Shares of the prompt that are kept, in percent.
    pub budgets: Vec<u32>,
    /// Who shares what is kept.
    pub groupings: Vec<Grouping>,
    /// When tokens are evicted.
    pub when: Vec<When>,
    /// Lengths of the documents in tokens.
    pub lengths: Vec<usize>,
    /// Depths of the needles in percent.
    pub depths: Vec<u32>,
    /// Documents for each length and depth, and twice as many texts.
    pub documents: usize,
    /// The text, or its digest.
    pub text: String,
}

impl EvaluationPlan {
    /// The documents of this plan, cut from `text`.
    ///
    /// # Errors
    /// [`ModelError`] where the tokenizer fails.
    pub fn documents(&self, config: &Config, tokenizer: &Tokenizer, text: &str) -> Result<Vec<Document>, ModelError> {
        let haystack = tokenizer.encode_further(text)?;
        let mut documents = Vec::new();
        for &task in &self.tasks {
            let start = config.start_token;
            let shape = (self.lengths.as_slice(), self.depths.as_slice(), self.documents);
            match task {
                Task::Recall | Task::RecallUnseen => {
                    documents.extend(needle::documents(task, tokenizer, start, &haystack, shape)?);
                }
                Task::Text => documents.extend(self.texts(start, &haystack)),
            }
        }
        Ok(documents)
    }

    /// Whether a document of `task` is run with evictions by `method` at that time: decoding an answer takes too few tokens to
    /// evict after each, and greedy removal chooses a whole set at once.
    pub(super) fn runs(&self, task: Task, method: Method, when: When) -> bool {
        let decodes = task == Task::Text && method != Method::Greedy;
        self.when.contains(&when) && (when == When::Prefill || decodes)
    }

    /// The most tokens that one of `documents` has gone through the model when a score last evicts while decoding; 0 where none
    /// does.
    pub fn longest_evicting(&self, documents: &[Document]) -> usize {
        let evicts = |document: &&Document| {
            let mut scored = self
                .methods
                .iter()
                .filter(|method| matches!(method, Method::Scored(..)));
            scored.any(|&method| self.runs(document.task, method, When::Decode))
        };
        let tokens = |document: &Document| document.prompt.len() + document.inputs().len();
        documents.iter().filter(evicts).map(tokens).max().unwrap_or(0)
    }

    /// Pieces of the longest length, evenly spread over the text; none where the plan has no length.
    fn texts(&self, start: Option<u32>, haystack: &[u32]) -> Vec<Document> {
        let Some(longest) = self.lengths.iter().copied().max() else {
            return Vec::new();
        };
        let room = longest.saturating_sub(start.iter().len()).min(haystack.len());
        let count = 2 * self.documents;
        let piece = |number: usize| {
            let from = (haystack.len() - room) * number / count.saturating_sub(1).max(1);
            let mut tokens = Vec::from_iter(start);
            tokens.extend(&haystack[from..from + room]);
            let continuation = tokens.split_off(tokens.len() * PROMPT / 100);
            Document {
                name: format!("text-{number}"),
                task: Task::Text,
                length: longest,
                depth: None,
                prompt: tokens,
                continuation,
                judged_from: 1,
            }
        };
        (0..count)
            .map(piece)
            .filter(|text| !text.prompt.is_empty() && text.continuation.len() > 1)
            .collect()
    }
}
