//! The simulation as tables: every step, every token's life, and a screen.

use serde::Serialize;

use super::ranking::Ranking;
use super::run::Simulation;
use crate::output::csv_of;
use crate::table::{Table, screen};

/// A line of `steps.csv`.
#[derive(Serialize)]
struct StepRow {
    layer: usize,
    kv_head: usize,
    score: &'static str,
    step: usize,
    cached: usize,
    error: f64,
}

/// A line of `lives.csv`.
#[derive(Serialize)]
struct LifeRow {
    layer: usize,
    kv_head: usize,
    score: &'static str,
    token: usize,
    died: Option<usize>,
}

/// Every decode step, as CSV.
///
/// # Errors
/// [`csv::Error`] never but for lack of memory.
pub fn steps_table(simulation: &Simulation) -> Result<Vec<u8>, csv::Error> {
    csv_of(simulation.steps.iter().map(|step| StepRow {
        layer: step.place.layer,
        kv_head: step.place.kv_head,
        score: step.ranking.name(),
        step: step.step,
        cached: step.cached,
        error: step.error,
    }))
}

/// Every token's life, as CSV; an empty cell for a survivor.
///
/// # Errors
/// [`csv::Error`] never but for lack of memory.
pub fn lives_table(simulation: &Simulation) -> Result<Vec<u8>, csv::Error> {
    csv_of(simulation.lives.iter().map(|life| LifeRow {
        layer: life.place.layer,
        kv_head: life.place.kv_head,
        score: life.ranking.name(),
        token: life.token,
        died: life.died,
    }))
}

/// One screen: the error of every ranking in each quarter of the decoding.
pub fn summary(simulation: &Simulation) -> String {
    let table = screen(&quarters(simulation));
    format!(
        "{table}\n\nTrue error of the output against the full cache, over its squared norm, after a prefill of {} of {} tokens; geometric mean \
         over KV heads and steps.\n",
        simulation.prefill, simulation.tokens
    )
}

/// The error of every ranking in each quarter of the decoding.
pub(super) fn quarters(simulation: &Simulation) -> Table {
    let decoded = simulation.tokens - simulation.prefill;
    let quarters = (0..4).map(|quarter| format!("steps {}-{}", quarter * decoded / 4, (quarter + 1) * decoded / 4));
    let mut rows = Vec::new();
    for ranking in Ranking::ALL {
        let means = (0..4).map(|quarter| mean(simulation, ranking, quarter));
        rows.push([ranking.name().to_owned()].into_iter().chain(means).collect());
    }
    Table::new(["score".to_owned()].into_iter().chain(quarters), rows)
}

fn mean(simulation: &Simulation, ranking: Ranking, quarter: usize) -> String {
    let decoded = simulation.tokens - simulation.prefill;
    let here = simulation
        .steps
        .iter()
        .filter(|step| step.ranking == ranking && 4 * step.step / decoded == quarter);
    let logarithms: Vec<f64> = here
        .map(|step| step.error)
        .filter(|&error| error > 0.0)
        .map(f64::ln)
        .collect();
    if logarithms.is_empty() {
        return "0".to_owned();
    }
    format!(
        "{:.1e}",
        (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
    )
}
