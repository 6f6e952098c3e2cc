//! What the results of an evaluation come to.

use super::Results;
use super::summary::{Contest, Line, contests, lines};

/// The means and contests of an evaluation.
pub struct Evaluated {
    /// Every method under every budget.
    pub lines: Vec<Line>,
    /// Every heuristic against its replacements.
    pub contests: Vec<Contest>,
}

impl Evaluated {
    /// The summary of finished results.
    pub fn new(results: &Results) -> Self {
        Self {
            lines: lines(results),
            contests: contests(results),
        }
    }
}
