//! The allocation as tables: bits of every token and channel, rates of every method, and a screen of both.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::measure::{Allocations, Method, Rate};
use crate::output::csv_of;

/// A line of `bits.csv`.
#[derive(Serialize)]
struct BitsRow {
    layer: usize,
    kv_head: usize,
    /// `token`, whose value has the bits, 0 for an evicted one, or `channel` of the keys.
    of: &'static str,
    index: usize,
    bits: u8,
}

/// A line of `rates.csv`.
#[derive(Serialize)]
struct RateRow {
    layer: usize,
    kv_head: usize,
    method: &'static str,
    budget: f64,
    bits: f64,
    kept: f64,
    predicted: f64,
    distortion: f64,
}

/// Bits of every token and key channel, as CSV.
///
/// # Errors
/// [`csv::Error`] never but for lack of memory.
pub fn bits_table(allocations: &Allocations) -> Result<Vec<u8>, csv::Error> {
    let rows = allocations.stored.iter().flat_map(|stored| {
        let place = stored.rate.place;
        let row = move |of, (index, &bits): (usize, &u8)| BitsRow {
            layer: place.layer,
            kv_head: place.kv_head,
            of,
            index,
            bits,
        };
        let tokens = stored.storage.value_bits.iter().enumerate();
        let channels = stored.storage.key_bits.iter().enumerate();
        let tokens = tokens.map(move |entry| row("token", entry));
        tokens.chain(channels.map(move |entry| row("channel", entry)))
    });
    csv_of(rows)
}

/// Every method at every rate on every KV head, as CSV.
///
/// # Errors
/// [`csv::Error`] never but for lack of memory.
pub fn rates_table(allocations: &Allocations) -> Result<Vec<u8>, csv::Error> {
    csv_of(allocations.rates.iter().map(|rate| RateRow {
        layer: rate.place.layer,
        kv_head: rate.place.kv_head,
        method: rate.method.name(),
        budget: rate.budget,
        bits: rate.bits,
        kept: rate.kept,
        predicted: rate.predicted,
        distortion: rate.distortion,
    }))
}

/// The allocation of every KV head, headings first.
pub(super) fn stored(allocations: &Allocations) -> Vec<Vec<String>> {
    let header = [
        "layer",
        "KV head",
        "bits per number",
        "tokens kept",
        "value bits, kept",
        "key bits",
        "predicted error",
        "true error",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for stored in &allocations.stored {
        let bits = stored.storage.value_bits.iter().copied();
        let kept: Vec<u8> = bits.filter(|&bits| bits > 0).collect();
        rows.push(vec![
            stored.rate.place.layer.to_string(),
            stored.rate.place.kv_head.to_string(),
            format!("{:.2}", stored.rate.bits),
            format!("{:.0} %", 100.0 * stored.rate.kept),
            mean(&kept),
            mean(&stored.storage.key_bits),
            format!("{:.1e}", stored.rate.predicted),
            format!("{:.1e}", stored.rate.distortion),
        ]);
    }
    rows
}

/// One screen: the allocation of every KV head, and the methods beside each other at the same rate.
pub fn summary(allocations: &Allocations) -> String {
    format!(
        "{}\n\nErrors are over the squared norm of the output; the true one is found by running attention over the stored cache. Means \
         of bits are over the kept tokens, and over the key channels.\n\n{}\n",
        screen(stored(allocations)),
        screen(methods(allocations))
    )
}

/// A table without lines, its headings first.
fn screen(rows: Vec<Vec<String>>) -> Table {
    let mut rows = rows.into_iter();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(rows.next().unwrap_or_default());
    table.add_rows(rows);
    table
}

fn mean(bits: &[u8]) -> String {
    if bits.is_empty() {
        return "-".to_owned();
    }
    let sum: f64 = bits.iter().map(|&bits| f64::from(bits)).sum();
    format!("{:.1}", sum / bits.len() as f64)
}

/// True errors of the three methods at the rates of uniform bits, headings first: the others at the largest rate that is not
/// above it.
pub(super) fn methods(allocations: &Allocations) -> Vec<Vec<String>> {
    let header = [
        "bits per number",
        "uniform bits",
        "eviction only, at",
        "",
        "joint, at",
        "",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut rates: Vec<f64> = of(allocations, Method::Uniform).map(|rate| rate.budget).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    for rate in rates.into_iter().filter(|&rate| rate < 16.0) {
        let beside = |method: Method| {
            let below = of(allocations, method)
                .map(|other| other.budget)
                .filter(|&other| other <= rate);
            let at = below.fold(0.0, f64::max);
            [format!("{at}"), geometric(allocations, method, at)]
        };
        let [evicted_at, evicted] = beside(Method::Eviction);
        let [joint_at, joint] = beside(Method::Joint);
        let uniform = geometric(allocations, Method::Uniform, rate);
        rows.push(vec![
            format!("{rate:.2}"),
            uniform,
            evicted_at,
            evicted,
            joint_at,
            joint,
        ]);
    }
    rows
}

fn of(allocations: &Allocations, method: Method) -> impl Iterator<Item = &Rate> {
    allocations.rates.iter().filter(move |rate| rate.method == method)
}

/// Geometric mean of the true errors over the KV heads.
fn geometric(allocations: &Allocations, method: Method, budget: f64) -> String {
    let here = of(allocations, method).filter(|rate| rate.budget == budget);
    let logarithms: Vec<f64> = here.map(|rate| rate.distortion.ln()).collect();
    if logarithms.is_empty() {
        return "-".to_owned();
    }
    format!(
        "{:.1e}",
        (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
    )
}
