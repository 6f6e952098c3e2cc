//! What an evaluation yields.

use serde::{Deserialize, Serialize};

use super::{Grouping, Method, Task, When};

/// One document under one method and budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentRow {
    /// The document.
    pub document: String,
    /// What was asked.
    pub task: Task,
    /// Tokens of the document.
    pub length: usize,
    /// Where the needle lies, in percent.
    pub depth: Option<u32>,
    /// How tokens were chosen.
    pub method: Method,
    /// Who shares them.
    pub grouping: Grouping,
    /// When they were evicted.
    pub when: When,
    /// Share of the prompt that was kept, in percent.
    pub budget: u32,
    /// Whether every judged token was the most probable one: the answer that greedy decoding gives.
    pub correct: bool,
    /// Mean negative log-probability of the judged tokens, in nats.
    pub loss: f64,
    /// Mean divergence from the predictions with the whole cache, in nats.
    pub divergence: f64,
    /// Share of the most probable tokens that are those of the whole cache.
    pub agreement: f64,
}

/// One query head in which alone tokens were evicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadPoint {
    /// The document.
    pub document: String,
    /// How tokens were chosen.
    pub method: Method,
    /// Layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Squared change of the head's output over its squared norm, over the continuation.
    pub perturbation: f64,
    /// Mean divergence of the model's predictions, in nats.
    pub divergence: f64,
}

/// All that is measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Documents under methods and budgets.
    pub rows: Vec<DocumentRow>,
    /// Single heads.
    pub heads: Vec<HeadPoint>,
}

impl Results {
    /// Adds what another document yields.
    pub(super) fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.heads.extend(other.heads);
    }
}
