//! One screen for the terminal: the answer, and one table.

use comfy_table::{ContentArrangement, Table, presets};

use super::answer::answer;
use super::lookup::{Wanted, interval};
use crate::measure::{Measurements, PROTECTIONS};

/// Columns of a terminal that the sentences are broken at.
const WIDTH: usize = 100;

/// Rows of the table on the screen.
const ROWS: [(&str, &str); 11] = [
    ("value", "all"),
    ("key", "all"),
    ("joint", "all"),
    ("weight", "all"),
    ("value", "last-32"),
    ("weight", "last-32"),
    ("removal", "last-32"),
    ("greedy", "last-32"),
    ("exchange", "last-32"),
    ("exchange", "all"),
    ("streaming-llm", "all"),
];

/// The answer in plain words, and rank agreement and regret of the main scores.
pub fn terminal_summary(measurements: &Measurements) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "score, window",
        "ranks like removal",
        "error, future queries",
        "... sinks and recent protected",
    ]);
    for (score, window) in ROWS {
        let cell = |wanted: Wanted| wanted.of(measurements, score).map_or("–".to_owned(), interval);
        table.add_row([
            format!("{score}, {window}"),
            cell(Wanted::rank_agreement(window, "in-window", "removal")),
            cell(Wanted::regret(window, "future", PROTECTIONS[0], 0.2)),
            cell(Wanted::regret(window, "future", PROTECTIONS[1], 0.2)),
        ]);
    }
    let mut text = String::new();
    for (question, sentence) in answer(measurements) {
        let lines = textwrap::Options::new(WIDTH)
            .initial_indent("  ")
            .subsequent_indent("  ");
        text.push_str(&format!("{question}\n{}\n\n", textwrap::fill(&sentence, lines)));
    }
    format!(
        "{text}{table}\n\nErrors with 20 % of the tokens kept, over those of the exact single-token ranking without protection; means over heads with 95 % \
         bootstrap intervals.\n"
    )
}
