//! The page: one file that opens without a network.

use capture::Capture;
use minijinja::Environment;
use minijinja::value::Serde;
use obd_core::Perturbation;
use plots::Figure;
use serde::Serialize;

use super::ReportError;
use super::answer::answer;
use super::field::cheapest_first;
use super::findings::findings;
use super::lookup::{Wanted, interval};
use crate::measure::allocation::{Allocation, SCORES};
use crate::measure::subsets::{BEAM, BEAM_TOKENS};
use crate::measure::{BUDGETS, FIELD_BUDGETS, Measurements, PROTECTIONS, Summary};

/// All that the template shows.
#[derive(Serialize)]
struct Page<'a> {
    answer: Vec<(&'static str, String)>,
    findings: Vec<String>,
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
    figures: &[(&'static str, Figure)],
    future_from: f64,
) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("page", include_str!("page.html"))?;
    let page = Page {
        answer: answer(measurements),
        findings: findings(measurements),
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
    let mut tables = vec![field_table(measurements)];
    for queries in ["future", "in-window"] {
        for window in ["all", "last-32", "last-1"] {
            tables.push(agreement_table(measurements, window, queries));
            tables.extend(PROTECTIONS.map(|protection| regret_table(measurements, (window, queries), protection)));
        }
    }
    tables.extend(["in-window", "future"].map(|queries| compensation_table(measurements, queries)));
    tables.push(projection_table(measurements));
    tables.push(allocation_table(measurements));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// Every score of the field, the cheapest eviction first, then those that the captures lack something for.
fn field_table(measurements: &Measurements) -> Table {
    let budgets = FIELD_BUDGETS;
    let mut names = cheapest_first(measurements);
    let mut table = table(
        "The field, cheapest first at 20 % kept: error of a KV head on future queries over that of removal, all; no protection but a score's own".to_owned(),
        budgets.iter().map(|budget| format!("{:.0} % kept", 100.0 * budget)).collect(),
        &names,
        |score, column| Wanted::field(budgets[column]).of(measurements, score),
    );
    for row in &measurements.field {
        if let Some(reason) = row.absent.as_ref().filter(|_| !names.contains(&row.score)) {
            names.push(row.score.clone());
            let mut cells = vec![reason.clone()];
            cells.resize(budgets.len(), "–".to_owned());
            table.rows.push((row.score.clone(), cells));
        }
    }
    table
}

fn agreement_table(measurements: &Measurements, window: &str, queries: &str) -> Table {
    let truths = Perturbation::ALL.map(Perturbation::name);
    let cell =
        |score: &str, column: usize| Wanted::rank_agreement(window, queries, truths[column]).of(measurements, score);
    table(
        format!("Rank correlation (Spearman) with each truth: {queries} queries, score window {window}"),
        truths.map(str::to_owned).into(),
        &scores(measurements),
        cell,
    )
}

fn regret_table(measurements: &Measurements, (window, queries): (&str, &str), protection: &str) -> Table {
    table(
        format!(
            "Eviction error over the unprotected single-token oracle's: {queries} queries, score window {window}, protection {protection}{}",
            beam_heads(measurements, (window, queries), protection)
        ),
        budgets(),
        &scores(measurements),
        |score, column| Wanted::regret(window, queries, protection, BUDGETS[column]).of(measurements, score),
    )
}

/// The beam is too slow for long heads: what its row is a mean over.
fn beam_heads(measurements: &Measurements, (window, queries): (&str, &str), protection: &str) -> String {
    let row = Wanted::regret(window, queries, protection, BUDGETS[0]).of(measurements, BEAM);
    row.map_or(String::new(), |row| {
        format!(" (beam: {} heads of at most {BEAM_TOKENS} tokens)", row.heads)
    })
}

fn compensation_table(measurements: &Measurements, queries: &str) -> Table {
    let rows: Vec<(&str, &str, &str)> = ["value", "greedy"]
        .into_iter()
        .flat_map(|score| PROTECTIONS.map(|protection| (score, protection)))
        .flat_map(|(score, protection)| ["all", "last-32"].map(|window| (score, protection, window)))
        .collect();
    let names: Vec<String> = rows
        .iter()
        .map(|(score, protection, window)| format!("{score}, protection {protection}, fitted over {window}"))
        .collect();
    let cell = |name: &str, column: usize| {
        let place = names.iter().position(|other| other == name)?;
        let (score, protection, window) = rows[place];
        Wanted::compensation(window, queries, protection, BUDGETS[column]).of(measurements, score)
    };
    table(
        format!("Error with Optimal Brain Surgeon's update over that without: {queries} queries"),
        budgets(),
        &names,
        cell,
    )
}

/// Rows are scores with their reduction, columns the windows.
fn projection_table(measurements: &Measurements) -> Table {
    let windows = ["all", "last-32", "last-1"];
    let mut names: Vec<String> = Vec::new();
    for row in &measurements.projections {
        let name = format!("{}, {}", row.score, row.reduction);
        if row.reduction != "mean" && !names.contains(&name) {
            names.push(name);
        }
    }
    let cell = |name: &str, column: usize| {
        let wanted = Wanted {
            statistic: "projected_spearman",
            window: windows[column],
            queries: "in-window",
            truth: "removal behind W_O",
            selection: None,
        };
        wanted.of(measurements, name)
    };
    table(
        "Behind the output projection: rank correlation with what the KV head's query heads lose together (a mean ranks as the sum)".to_owned(),
        windows.map(|window| format!("window {window}")).into(),
        &names,
        cell,
    )
}

/// Rows are scores with an allocation, columns the field's budgets of a layer, then of the model.
fn allocation_table(measurements: &Measurements) -> Table {
    let wholes = [("layer_over_uniform", "a layer"), ("model_over_uniform", "the model")];
    let columns: Vec<(&str, &str, f64)> = wholes
        .into_iter()
        .flat_map(|(statistic, whole)| FIELD_BUDGETS.map(|budget| (statistic, whole, budget)))
        .collect();
    let shared = Allocation::ALL
        .into_iter()
        .filter(|&other| other != Allocation::Uniform);
    let names: Vec<String> = shared
        .flat_map(|allocation| SCORES.map(|score| format!("{score}, {}", allocation.name())))
        .collect();
    table(
        "Budgets across heads and layers: error on future queries over that of the uniform budget with the same score (window last-32, nothing \
         protected), means over layers and over captures"
            .to_owned(),
        columns.iter().map(|(_, whole, budget)| format!("{whole}, {:.0} % kept", 100.0 * budget)).collect(),
        &names,
        |name, column| {
            let (statistic, _, budget) = columns[column];
            Wanted::allocation(statistic, budget).of(measurements, name)
        },
    )
}

fn budgets() -> Vec<String> {
    BUDGETS.map(|budget| format!("{:.0} % kept", 100.0 * budget)).into()
}

/// A table of the rows that have a mean in some column.
fn table<'a>(
    title: String,
    columns: Vec<String>,
    names: &[String],
    cell: impl Fn(&str, usize) -> Option<&'a Summary>,
) -> Table {
    let mut rows = Vec::new();
    for name in names {
        let cells: Vec<Option<&Summary>> = (0..columns.len()).map(|column| cell(name, column)).collect();
        if cells.iter().any(Option::is_some) {
            let words = cells
                .into_iter()
                .map(|cell| cell.map_or("–".to_owned(), interval))
                .collect();
            rows.push((name.clone(), words));
        }
    }
    Table { title, columns, rows }
}

/// All rankings in the order of the measurement.
fn scores(measurements: &Measurements) -> Vec<String> {
    let mut scores: Vec<String> = Vec::new();
    for row in &measurements.regrets {
        if !scores.contains(&row.score) {
            scores.push(row.score.clone());
        }
    }
    scores
}
