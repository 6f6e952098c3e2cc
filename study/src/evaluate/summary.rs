//! Means over documents, and the paired tests of the paper's claim.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{DocumentRow, Grouping, Method, Paired, Results, Task, When, paired};
use crate::agreement::{Interval, bootstrap};

/// Least divergence that a logarithm is taken of, in nats: far below what 32 bits resolve.
const SMALLEST: f64 = 1e-9;

/// One setting of a table: what is asked, who shares tokens, when they are evicted.
pub type Setting = (Task, Grouping, When);

/// A method under a budget, over all documents of a task.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was asked.
    pub task: Task,
    /// Who shares tokens.
    pub grouping: Grouping,
    /// When they were evicted.
    pub when: When,
    /// How they were chosen.
    pub method: Method,
    /// Percent kept.
    pub budget: u32,
    /// Share of right answers.
    pub accuracy: Interval,
    /// Perplexity: the exponential of the mean loss.
    pub perplexity: f64,
    /// Divergence from the whole cache.
    pub divergence: Interval,
    /// Agreement of the next token.
    pub agreement: Interval,
}

/// A heuristic against its replacement, over the documents of a task.
#[derive(Debug, Clone, Serialize)]
pub struct Contest {
    /// What was asked.
    pub task: Task,
    /// Who shares tokens.
    pub grouping: Grouping,
    /// When they were evicted.
    pub when: When,
    /// The heuristic.
    pub heuristic: Method,
    /// Its replacement.
    pub replacement: Method,
    /// Percent kept; `None` for the mean over all budgets.
    pub budget: Option<u32>,
    /// Replacement minus heuristic: of recall the share of right answers, of text the log of the divergence.
    pub paired: Paired,
}

impl Contest {
    /// What the numbers allow to say: at a p-value below 0.05, for this contest alone.
    pub fn verdict(&self) -> Verdict {
        // More right answers are better, more divergence is worse.
        let gain = self.paired.difference.mean * if self.task == Task::Text { -1.0 } else { 1.0 };
        match (self.paired.p < 0.05, gain > 0.0) {
            (false, _) => Verdict::Undecided,
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
        }
    }
}

/// How a contest ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Verdict {
    /// The replacement is better.
    #[strum(serialize = "replacement better")]
    Better,
    /// The replacement is worse.
    #[strum(serialize = "replacement worse")]
    Worse,
    /// Chance alone may have made the difference.
    #[strum(serialize = "cannot be told apart")]
    Undecided,
}

/// Every method under every budget.
pub fn lines(results: &Results) -> Vec<Line> {
    let mut groups: BTreeMap<(Setting, String, u32), Vec<&DocumentRow>> = BTreeMap::new();
    for row in &results.rows {
        let key = ((row.task, row.grouping, row.when), row.method.to_string(), row.budget);
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().filter_map(|rows| line(&rows)).collect()
}

fn line(rows: &[&DocumentRow]) -> Option<Line> {
    let over = |number: fn(&DocumentRow) -> f64| rows.iter().map(|row| number(row)).collect::<Vec<_>>();
    let first = rows.first()?;
    Some(Line {
        task: first.task,
        grouping: first.grouping,
        when: first.when,
        method: first.method,
        budget: first.budget,
        accuracy: bootstrap(&over(|row| f64::from(u8::from(row.correct))))?,
        perplexity: (over(|row| row.loss).iter().sum::<f64>() / rows.len() as f64).exp(),
        divergence: bootstrap(&over(|row| row.divergence))?,
        agreement: bootstrap(&over(|row| row.agreement))?,
    })
}

/// Every heuristic against every replacement, at each budget and over all.
pub fn contests(results: &Results) -> Vec<Contest> {
    let mut numbers: BTreeMap<(Setting, String, u32), BTreeMap<&str, f64>> = BTreeMap::new();
    for row in &results.rows {
        let number = match row.task {
            Task::Text => row.divergence.max(SMALLEST).ln(),
            Task::Recall | Task::RecallUnseen => f64::from(u8::from(row.correct)),
        };
        let key = ((row.task, row.grouping, row.when), row.method.to_string(), row.budget);
        numbers.entry(key).or_default().insert(&row.document, number);
    }
    let settings: std::collections::BTreeSet<Setting> = numbers.keys().map(|key| key.0).collect();
    let mut contests = Vec::new();
    for (task, grouping, when) in settings {
        for (heuristic, replacement) in Method::pairs() {
            let of = |method: Method, budget| numbers.get(&((task, grouping, when), method.to_string(), budget));
            let mut sums: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            let budgets: std::collections::BTreeSet<u32> = numbers.keys().map(|key| key.2).collect();
            let mut contest = |budget, differences: &[f64]| {
                let paired = paired(differences)?;
                contests.push(Contest {
                    task,
                    grouping,
                    when,
                    heuristic,
                    replacement,
                    budget,
                    paired,
                });
                Some(())
            };
            for budget in budgets {
                let (Some(plain), Some(better)) = (of(heuristic, budget), of(replacement, budget)) else {
                    continue;
                };
                let both = better
                    .iter()
                    .filter_map(|(document, x)| Some((*document, x - plain.get(document)?)));
                let both: Vec<(&str, f64)> = both.collect();
                contest(Some(budget), &both.iter().map(|(_, d)| *d).collect::<Vec<_>>());
                for (document, difference) in both {
                    sums.entry(document).or_default().push(difference);
                }
            }
            let means = sums.values().map(|all| all.iter().sum::<f64>() / all.len() as f64);
            contest(None, &means.collect::<Vec<_>>());
        }
    }
    contests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(document: usize, method: &str, correct: bool) -> DocumentRow {
        DocumentRow {
            document: document.to_string(),
            task: Task::Recall,
            length: 9,
            depth: None,
            method: method.parse().unwrap(),
            grouping: Grouping::KvSum,
            when: When::Prefill,
            budget: 5,
            correct,
            loss: 2f64.ln(),
            divergence: 0.5,
            agreement: 1.0,
        }
    }

    #[test]
    fn a_replacement_that_is_always_right_beats_a_heuristic_that_never_is() {
        let rows = (0..10)
            .flat_map(|i| [row(i, "h2o", false), row(i, "h2o+joint", true)])
            .collect();
        let results = Results {
            rows,
            heads: Vec::new(),
        };
        let lines = lines(&results);
        assert_eq!(
            lines.iter().map(|line| line.accuracy.mean).collect::<Vec<_>>(),
            [0.0, 1.0]
        );
        assert!((lines[0].perplexity - 2.0).abs() < 1e-12);
        let contests = contests(&results);
        assert_eq!(contests.len(), 2, "one budget, and the mean over it");
        assert!(contests.iter().all(|contest| contest.verdict() == Verdict::Better));
        assert_eq!(contests[1].paired.difference.mean, 1.0);
    }
}
