//! The files of a simulation: tables, figures and page.

use std::path::PathBuf;

use super::figures::{deaths, growth};
use super::run::Simulation;
use super::tables::{lives_table, quarters, steps_table};
use crate::page::{Page, PageTable};
use crate::report::ReportError;

const INTRODUCTION: &str = "A prefill, then one decode step after the other with a cache of fixed size: a score decides who dies, and after every step the output is set \
    beside that of the cache that forgot nothing. Scores are summed over all queries so far, over what is left in the cache. Errors are over the squared norm of \
    the output.";

/// The files by their path inside the folder, `index.html` last, of what was simulated of the capture `name`; equal simulations
/// give equal bytes.
///
/// # Errors
/// [`ReportError`] where a figure, a table or the page cannot be made.
pub fn files(simulation: &Simulation, name: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, ReportError> {
    let figures = [growth(simulation)?, deaths(simulation)?];
    let title = "True error in each quarter of the decoding, geometric mean over KV heads and steps".to_owned();
    let (prefill, tokens) = (simulation.prefill, simulation.tokens);
    let page = Page {
        title: format!("Decoding {name} from token {prefill} to {tokens} with a cache of fixed size"),
        introduction: INTRODUCTION,
        findings: Vec::new(),
        figures: figures.iter().collect(),
        tables: vec![PageTable::open(title, quarters(simulation))],
        files: &["steps.csv", "lives.csv"],
    };
    let mut files = vec![
        ("steps.csv".into(), steps_table(simulation)?),
        ("lives.csv".into(), lives_table(simulation)?),
    ];
    for (name, figure) in ["growth", "deaths"].into_iter().zip(&figures) {
        files.push((format!("{name}.svg").into(), figure.svg().as_bytes().to_vec()));
        files.push((format!("{name}.png").into(), figure.png()?));
    }
    files.push(("index.html".into(), page.render()?.into_bytes()));
    Ok(files)
}
