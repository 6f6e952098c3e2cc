//! The tables of the page: a row a score, a column a budget, a truth or a window.

use obcache_scores::Score;
use obd_core::{GroupReduction, Perturbation, QueryWindow};
use serde::Serialize;

use super::figures::cheapest_first;
use super::words::interval;
use crate::measure::budgets::{SCORES, WINDOW};
use crate::measure::subsets::BEAM_TOKENS;
use crate::measure::{BUDGETS, FIELD_BUDGETS, Measurements, Summary, WINDOWS};
use crate::names::{
    Column, FieldScore, Kept, Protected, Queries, Selection, SetSelection, Sharing, Statistic, Subject,
};

/// What stands in a cell without a number.
const NOTHING: &str = "–";

/// A table with a row a score.
#[derive(Serialize)]
pub(super) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

/// All tables that have a row.
pub(super) fn tables(measurements: &Measurements) -> Vec<Table> {
    let mut tables = vec![field_table(measurements)];
    for queries in [Queries::Future, Queries::InWindow] {
        for window in WINDOWS {
            tables.push(agreement_table(measurements, window, queries));
            tables.extend(
                Protected::ALL
                    .iter()
                    .map(|&protected| regret_table(measurements, (window, queries), protected)),
            );
        }
    }
    tables.extend([Queries::InWindow, Queries::Future].map(|queries| compensation_table(measurements, queries)));
    tables.push(projection_table(measurements));
    tables.push(budgets_table(measurements));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// Every score of the field, the cheapest eviction first, then those that the captures lack something for.
fn field_table(measurements: &Measurements) -> Table {
    let mut scores = cheapest_first(measurements);
    let row = |&score: &FieldScore| {
        let cell = |budget| measurements.means.find(Column::field(budget), Subject::Field(score));
        (score.to_string(), FIELD_BUDGETS.map(cell).into())
    };
    let mut table = table(
        "The field, cheapest first at 20 % kept: error of a KV head on future queries over that of removal, all; no protection but a score's own".to_owned(),
        FIELD_BUDGETS.map(kept).into(),
        scores.iter().map(row),
    );
    for row in &measurements.field {
        if let Some(reason) = row.absent.as_ref().filter(|_| !scores.contains(&row.score)) {
            scores.push(row.score);
            let mut cells = vec![reason.clone()];
            cells.resize(FIELD_BUDGETS.len(), NOTHING.to_owned());
            table.rows.push((row.score.to_string(), cells));
        }
    }
    table
}

fn agreement_table(measurements: &Measurements, window: QueryWindow, queries: Queries) -> Table {
    let row = |selection: Selection| {
        let cell = |truth| {
            let column = Column::rank_agreement(window, queries, truth);
            measurements.means.find(column, selection)
        };
        (selection.to_string(), Perturbation::ALL.map(cell).into())
    };
    table(
        format!("Rank correlation (Spearman) with each truth: {queries} queries, score window {window}"),
        Perturbation::ALL.map(|truth| truth.to_string()).into(),
        selections(measurements).into_iter().map(row),
    )
}

fn regret_table(measurements: &Measurements, (window, queries): (QueryWindow, Queries), protected: Protected) -> Table {
    let column = |budget| Column::over_oracle(window, queries, protected, budget);
    let row = |selection: Selection| {
        let cell = |budget| measurements.means.find(column(budget), selection);
        (selection.to_string(), BUDGETS.map(cell).into())
    };
    // The beam is too slow for long heads: its row is a mean over the others.
    let beam = measurements.means.find(column(BUDGETS[0]), SetSelection::Beam);
    let beam = beam.map_or(String::new(), |row| {
        format!(" (beam: {} heads of at most {BEAM_TOKENS} tokens)", row.heads)
    });
    table(
        format!(
            "Eviction error over the unprotected single-token oracle's: {queries} queries, score window {window}, protection {protected}{beam}"
        ),
        BUDGETS.map(kept).into(),
        selections(measurements).into_iter().map(row),
    )
}

fn compensation_table(measurements: &Measurements, queries: Queries) -> Table {
    let selections: [Selection; 2] = [Score::Value.into(), SetSelection::Greedy.into()];
    let mut rows = Vec::new();
    for selection in selections {
        for &protected in Protected::ALL {
            for window in [QueryWindow::All, QueryWindow::Last(32)] {
                let cell = |budget| {
                    let column = Column::compensation(window, queries, protected, budget);
                    measurements.means.find(column, selection)
                };
                let name = format!("{selection}, protection {protected}, fitted over {window}");
                rows.push((name, BUDGETS.map(cell).into()));
            }
        }
    }
    table(
        format!("Error with Optimal Brain Surgeon's update over that without: {queries} queries"),
        BUDGETS.map(kept).into(),
        rows,
    )
}

/// Rows are scores with their reduction, columns the windows.
fn projection_table(measurements: &Measurements) -> Table {
    let mut subjects: Vec<Subject> = Vec::new();
    for row in &measurements.projections {
        let subject = Subject::Group(row.score, row.reduction);
        if row.reduction != GroupReduction::Mean && !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    let row = |subject: Subject| {
        let cell = |window: QueryWindow| {
            let column = Column::behind_output(Statistic::ProjectedSpearman, window.into());
            measurements.means.find(column, subject)
        };
        (subject.to_string(), WINDOWS.map(cell).into())
    };
    table(
        "Behind the output projection: rank correlation with what the KV head's query heads lose together (a mean ranks as the sum)".to_owned(),
        WINDOWS.map(|window| format!("window {window}")).into(),
        subjects.into_iter().map(row),
    )
}

/// Rows are scores with a way to share their budget, columns the field's budgets of a layer, then of the model.
fn budgets_table(measurements: &Measurements) -> Table {
    let wholes = [
        (Statistic::LayerOverUniform, "a layer"),
        (Statistic::ModelOverUniform, "the model"),
    ];
    let columns = wholes.map(|(statistic, whole)| {
        FIELD_BUDGETS.map(|budget| {
            (
                format!("{whole}, {}", kept(budget)),
                Column::sharing(statistic, WINDOW, budget),
            )
        })
    });
    let (headings, columns): (Vec<String>, Vec<Column>) = columns.into_iter().flatten().unzip();
    let uneven = Sharing::ALL
        .iter()
        .copied()
        .filter(|&sharing| sharing != Sharing::Uniform);
    let subjects = uneven.flat_map(|sharing| SCORES.map(|score| Subject::Shared(score, sharing)));
    let row = |subject: Subject| {
        let cells = columns.iter().map(|&column| measurements.means.find(column, subject));
        (subject.to_string(), cells.collect())
    };
    table(
        "Budgets across heads and layers: error on future queries over that of the uniform budget with the same score (window last-32, nothing \
         protected), means over layers and over captures"
            .to_owned(),
        headings,
        subjects.map(row),
    )
}

fn kept(budget: f64) -> String {
    format!("{} kept", Kept::new(budget))
}

/// A table of the rows that have a mean in some column.
fn table<'a>(
    title: String,
    columns: Vec<String>,
    rows: impl IntoIterator<Item = (String, Vec<Option<&'a Summary>>)>,
) -> Table {
    let words = |cell: Option<&Summary>| cell.map_or(NOTHING.to_owned(), interval);
    let rows = rows.into_iter().filter(|(_, cells)| cells.iter().any(Option::is_some));
    let rows = rows.map(|(name, cells)| (name, cells.into_iter().map(words).collect()));
    Table {
        title,
        columns,
        rows: rows.collect(),
    }
}

/// All selections in the order of the measurement.
fn selections(measurements: &Measurements) -> Vec<Selection> {
    let mut selections: Vec<Selection> = Vec::new();
    for row in &measurements.regrets {
        if !selections.contains(&row.score) {
            selections.push(row.score);
        }
    }
    selections
}
