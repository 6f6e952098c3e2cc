//! One screen for the terminal: the findings, and one table.

use comfy_table::{ContentArrangement, Table, presets};

use super::findings::findings;
use crate::measure::Measurements;

/// Scores of the table on the screen.
const SCORES: [&str; 8] = [
    "value",
    "key",
    "joint",
    "joint-lse",
    "weight",
    "streaming-llm",
    "removal",
    "greedy",
];

/// The findings in plain words, and rank agreement and regret of the main scores.
pub fn terminal_summary(measurements: &Measurements) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "score (all queries)",
        "rank agreement with removal",
        "error at 20 % kept",
        "on future queries",
    ]);
    for score in SCORES {
        let value = |statistic: &str, queries: &str, budget: Option<f64>| {
            let row = measurements.summaries.iter().find(|row| {
                row.statistic == statistic
                    && row.queries == queries
                    && row.budget == budget
                    && row.window == "all"
                    && row.truth == "removal"
                    && row.score == score
            });
            row.map_or(String::new(), |row| {
                format!("{:.2} [{:.2}, {:.2}]", row.mean, row.low, row.high)
            })
        };
        table.add_row([
            score.to_owned(),
            value("spearman", "in-window", None),
            value("over_oracle", "in-window", Some(0.2)),
            value("over_oracle", "future", Some(0.2)),
        ]);
    }
    let mut text = String::new();
    for finding in findings(measurements) {
        text.push_str(&format!("• {finding}\n"));
    }
    format!(
        "{text}\n{table}\nerrors are over those of the exact single-token oracle; 95 % bootstrap intervals over heads\n"
    )
}
