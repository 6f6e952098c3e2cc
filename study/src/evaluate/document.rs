//! What a model is asked: a prompt it reads with its whole cache, and a continuation it sees through what is left.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A hidden code is asked for at the end of the prompt: the scores see the question.
    Recall,
    /// The question comes after the eviction: no score has seen it.
    RecallUnseen,
    /// Plain text goes on: perplexity, divergence from the full cache, agreement of the next token.
    Text,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Recall, Self::RecallUnseen, Self::Text];

    /// The name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::RecallUnseen => "recall-unseen",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|task| task.name() == name);
        known.ok_or_else(|| "expected recall, recall-unseen or text".to_owned())
    }
}

/// One prompt with what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Name, also that of its part.
    pub name: String,
    /// What is asked.
    pub task: Task,
    /// Tokens of the whole, the prompt's and the continuation's.
    pub length: usize,
    /// Where the needle lies, in percent of the text.
    pub depth: Option<u32>,
    /// Tokens that are read before the eviction.
    pub prompt: Vec<u32>,
    /// Tokens that follow it.
    pub continuation: Vec<u32>,
    /// First token of the continuation that is judged, at least 1: the one before it is read with the thinned cache.
    pub judged_from: usize,
}

impl Document {
    /// The tokens of the continuation that the model reads: all but the last.
    pub fn inputs(&self) -> &[u32] {
        &self.continuation[..self.continuation.len().saturating_sub(1)]
    }
}
