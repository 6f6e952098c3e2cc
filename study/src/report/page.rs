//! The page: one file that opens without a network.

use capture::Capture;
use minijinja::Environment;
use minijinja::value::Serde;
use plots::Figure;
use serde::Serialize;

use super::answer::answer;
use super::error::ReportError;
use super::findings::findings;
use super::page_tables::{Table, tables};
use crate::measure::Measurements;

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
        answer: answer(measurements)?,
        findings: findings(measurements)?,
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
