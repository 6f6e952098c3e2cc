//! All numbers as CSV and JSON, with the JSON's schema.

use std::path::PathBuf;

use schemars::{JsonSchema, schema_for};
use serde::Serialize;

use super::error::ReportError;
use crate::measure::{
    Agreement, Compensated, FieldRegret, GaugeShift, Interaction, KeyShift, Measurements, Projection, Regret,
    SharingRegret, Spectrum, Summary,
};
use crate::names::Quantity;
use crate::output::{csv_of, finish_csv};

/// What `report.json` holds; its schema is `report.schema.json`.
#[derive(Serialize, JsonSchema)]
struct Document<'a> {
    /// Means over the heads.
    summaries: &'a [Summary],
    /// Agreement per head.
    agreements: &'a [Agreement],
    /// Regret per head.
    regrets: &'a [Regret],
    /// What the Surgeon's update buys, per head.
    compensated: &'a [Compensated],
    /// Spectrum of the Gram matrix, per head.
    spectra: &'a [Spectrum],
    /// How the errors of single tokens add up, per head.
    interactions: &'a [Interaction],
    /// Agreement behind the output projection, per KV head.
    projections: &'a [Projection],
    /// Every score of the field on future queries, per KV head.
    field: &'a [FieldRegret],
    /// Every allocation of a budget on future queries, per layer and per capture.
    allocations: &'a [SharingRegret],
    /// Rankings before and after a shift of all keys.
    gauge: &'a [GaugeShift],
    /// Largest disagreement between closed form and brute force, over the size of the output.
    oracle_gap: f64,
}

/// The tables by their file name.
pub(super) fn files(measurements: &Measurements) -> Result<Vec<(PathBuf, Vec<u8>)>, ReportError> {
    let shifts = measurements.gauge.iter();
    let gauge: Vec<GaugeShift> = shifts.filter_map(defined).collect();
    let document = Document {
        summaries: measurements.means.rows(),
        agreements: &measurements.agreements,
        regrets: &measurements.regrets,
        compensated: &measurements.compensated,
        spectra: &measurements.spectra,
        interactions: &measurements.interactions,
        projections: &measurements.projections,
        field: &measurements.field,
        allocations: &measurements.budgets,
        gauge: &gauge,
        oracle_gap: measurements.oracle_gap,
    };
    Ok(vec![
        ("agreement.csv".into(), csv_of(&measurements.agreements)?),
        ("regret.csv".into(), csv_of(&measurements.regrets)?),
        ("compensation.csv".into(), csv_of(&measurements.compensated)?),
        ("spectrum.csv".into(), csv_of(&measurements.spectra)?),
        ("interaction.csv".into(), csv_of(&measurements.interactions)?),
        ("projection.csv".into(), csv_of(&measurements.projections)?),
        ("field.csv".into(), csv_of(&measurements.field)?),
        ("allocation.csv".into(), csv_of(&measurements.budgets)?),
        ("summary.csv".into(), csv_of(measurements.means.rows())?),
        ("tokens.csv".into(), tokens(measurements)?),
        ("report.json".into(), serde_json::to_vec(&document)?),
        (
            "report.schema.json".into(),
            serde_json::to_vec_pretty(&schema_for!(Document))?,
        ),
    ])
}

/// The row of a quantity whose order has a correlation on some head.
fn defined(shift: &KeyShift) -> Option<GaugeShift> {
    Some(GaugeShift {
        score: shift.quantity,
        spearman: shift.spearman?,
    })
}

/// One line a token: every score, every truth and the bounds of phi, window `all`.
fn tokens(measurements: &Measurements) -> Result<Vec<u8>, ReportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = ["capture", "layer", "head", "token"].map(str::to_owned).into();
    header.extend(Quantity::all().map(|quantity| quantity.to_string()));
    header.extend(["phi low", "phi high"].map(str::to_owned));
    writer.write_record(&header)?;
    for row in &measurements.tokens {
        let mut record = vec![row.id.capture.clone()];
        record.extend([row.id.layer, row.id.head, row.token.0].map(|number| number.to_string()));
        let numbers = row.numbers.iter().chain(&row.phi);
        record.extend(numbers.map(|number| format!("{number:.9e}")));
        writer.write_record(&record)?;
    }
    Ok(finish_csv(writer)?)
}
