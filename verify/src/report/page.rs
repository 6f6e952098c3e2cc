//! The page: one file that opens without a network.

use capture::Capture;
use minijinja::Environment;
use minijinja::value::Serde;
use plots::Figure;
use serde::Serialize;

use super::ReportError;
use crate::measure::{BUDGETS, Measurements, Summary};

/// All that the template shows.
#[derive(Serialize)]
struct Page<'a> {
    findings: &'a [String],
    figures: Vec<Drawn<'a>>,
    sources: Vec<Source>,
    tables: Vec<Table>,
    future: String,
    oracle_gap: String,
    version: &'static str,
}

/// A figure on the page.
#[derive(Serialize)]
struct Drawn<'a> {
    name: &'a str,
    caption: &'a str,
    svg: &'a str,
}

/// A capture among the sources.
#[derive(Serialize)]
struct Source {
    name: String,
    model: String,
    layers: usize,
    query_heads: usize,
    kv_heads: usize,
    tokens: usize,
    head_dim: usize,
    dtype: String,
}

/// A table with a row a score.
#[derive(Serialize)]
struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

/// Fills the template.
pub(super) fn render(
    captures: &[Capture],
    measurements: &Measurements,
    findings: &[String],
    figures: &[(&'static str, Figure)],
    future_from: f64,
) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("page", include_str!("page.html"))?;
    let page = Page {
        findings,
        figures: figures.iter().map(|(name, figure)| drawn(name, figure)).collect(),
        sources: captures.iter().map(source).collect(),
        tables: tables(measurements),
        future: format!("{:.0}", 100.0 * future_from),
        oracle_gap: format!("{:.1e}", measurements.oracle_gap),
        version: env!("CARGO_PKG_VERSION"),
    };
    let page = environment.get_template("page")?.render(Serde(&page))?;
    Ok(page)
}

fn drawn<'a>(name: &'a str, figure: &'a Figure) -> Drawn<'a> {
    Drawn {
        name,
        caption: figure.caption(),
        svg: figure.svg(),
    }
}

fn source(capture: &Capture) -> Source {
    let layer = &capture.layers()[0];
    Source {
        name: capture.name(),
        model: capture.metadata().model.clone(),
        layers: capture.layers().len(),
        query_heads: capture.groups().num_query_heads(),
        kv_heads: capture.groups().num_kv_heads(),
        tokens: layer.key.shape()[1],
        head_dim: layer.key.shape()[2],
        dtype: layer.dtype.clone(),
    }
}

fn tables(measurements: &Measurements) -> Vec<Table> {
    let mut tables = Vec::new();
    for queries in ["in-window", "future"] {
        for window in ["all", "last-32", "last-1"] {
            tables.push(agreement_table(measurements, window, queries));
            tables.push(regret_table(measurements, window, queries));
        }
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn cell(row: Option<&Summary>) -> String {
    row.map_or("–".to_owned(), |row| {
        format!("{:.2} [{:.2}, {:.2}]", row.mean, row.low, row.high)
    })
}

fn agreement_table(measurements: &Measurements, window: &str, queries: &str) -> Table {
    let truths = ["removal", "key-zeroing", "value-zeroing", "joint-zeroing"];
    table(
        format!("Spearman's correlation with each truth: {queries} queries, score window {window}"),
        truths.map(str::to_owned).into(),
        scores(measurements, "spearman", window, queries),
        |score, column| {
            cell(find(measurements, ("spearman", window, queries), score, |row| {
                row.truth == truths[column]
            }))
        },
    )
}

fn regret_table(measurements: &Measurements, window: &str, queries: &str) -> Table {
    table(
        format!("Eviction error over the single-token oracle's: {queries} queries, score window {window}"),
        BUDGETS.map(|budget| format!("{:.0} % kept", 100.0 * budget)).into(),
        scores(measurements, "over_oracle", window, queries),
        |score, column| {
            let budget = Some(BUDGETS[column]);
            cell(find(measurements, ("over_oracle", window, queries), score, |row| {
                row.budget == budget
            }))
        },
    )
}

fn table(title: String, columns: Vec<String>, scores: Vec<String>, cell: impl Fn(&str, usize) -> String) -> Table {
    let row = |score: String| {
        let cells = (0..columns.len()).map(|column| cell(&score, column)).collect();
        (score, cells)
    };
    Table {
        title,
        rows: scores.into_iter().map(row).collect(),
        columns: columns.clone(),
    }
}

/// The scores that have a mean, in the order of the measurement.
fn scores(measurements: &Measurements, statistic: &str, window: &str, queries: &str) -> Vec<String> {
    let mut scores: Vec<String> = Vec::new();
    for row in &measurements.regrets {
        let known = find(measurements, (statistic, window, queries), &row.score, |_| true).is_some();
        if !scores.contains(&row.score) && known {
            scores.push(row.score.clone());
        }
        if row.budget != BUDGETS[0] {
            break;
        }
    }
    scores
}

fn find<'a>(
    measurements: &'a Measurements,
    (statistic, window, queries): (&str, &str, &str),
    score: &str,
    more: impl Fn(&Summary) -> bool,
) -> Option<&'a Summary> {
    measurements.summaries.iter().find(|row| {
        row.statistic == statistic && row.window == window && row.queries == queries && row.score == score && more(row)
    })
}
