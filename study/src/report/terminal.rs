//! One screen for the terminal: the answer, and one table.

use comfy_table::{ContentArrangement, Table, presets};

use obcache_scores::Score;
use obd_core::{Perturbation, QueryWindow};

use super::answer::answer;
use super::error::ReportError;
use super::words::interval;
use crate::measure::Measurements;
use crate::names::{Column, Protected, Queries, Ranking, Selection, SetSelection};

/// Columns of a terminal that the sentences are broken at.
const WIDTH: u16 = 100;

/// Rows of the table on the screen.
const ROWS: [(Selection, QueryWindow); 11] = [
    (score(Score::Value), QueryWindow::All),
    (score(Score::Key), QueryWindow::All),
    (score(Score::Joint), QueryWindow::All),
    (score(Score::Weight), QueryWindow::All),
    (score(Score::Value), QueryWindow::Last(32)),
    (score(Score::Weight), QueryWindow::Last(32)),
    (score(Score::Removal), QueryWindow::Last(32)),
    (Selection::Set(SetSelection::Greedy), QueryWindow::Last(32)),
    (Selection::Set(SetSelection::Exchange), QueryWindow::Last(32)),
    (Selection::Set(SetSelection::Exchange), QueryWindow::All),
    (Selection::Ranking(Ranking::StreamingLlm), QueryWindow::All),
];

const fn score(score: Score) -> Selection {
    Selection::Ranking(Ranking::Score(score))
}

/// The answer in plain words, and rank agreement and regret of the main scores.
///
/// # Errors
/// [`ReportError::Missing`] where a sentence needs a mean that was not measured.
pub fn terminal_summary(measurements: &Measurements) -> Result<String, ReportError> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header([
        "score, window",
        "ranks like removal",
        "error, future queries",
        "... sinks and recent protected",
    ]);
    for (selection, window) in ROWS {
        let cell = |column| {
            let row = measurements.means.find(column, selection);
            row.map_or("–".to_owned(), interval)
        };
        let future = |protected| Column::over_oracle(window, Queries::Future, protected, 0.2);
        table.add_row([
            format!("{selection}, {window}"),
            cell(Column::rank_agreement(window, Queries::InWindow, Perturbation::Removal)),
            cell(future(Protected::Nothing)),
            cell(future(Protected::SinksAndRecent)),
        ]);
    }
    let mut text = String::new();
    for (question, sentence) in answer(measurements)? {
        let lines = textwrap::Options::new(usize::from(WIDTH))
            .initial_indent("  ")
            .subsequent_indent("  ");
        text.push_str(&format!("{question}\n{}\n\n", textwrap::fill(&sentence, lines)));
    }
    Ok(format!(
        "{text}{table}\n\nErrors with 20 % of the tokens kept, over those of the exact single-token ranking without protection; means over heads with 95 % \
         bootstrap intervals.\n"
    ))
}
