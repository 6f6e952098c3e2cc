//! The allocation as tables: bits of every token and channel, rates of every way to spend them, and a screen of both.

use serde::Serialize;

use super::measure::{BitAllocations, Rate, Spending};
use crate::output::csv_of;
use crate::table::{Table, screen};

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
pub fn bits_table(allocations: &BitAllocations) -> Result<Vec<u8>, csv::Error> {
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

/// Every way to spend bits at every rate on every KV head, as CSV.
///
/// # Errors
/// [`csv::Error`] never but for lack of memory.
pub fn rates_table(allocations: &BitAllocations) -> Result<Vec<u8>, csv::Error> {
    csv_of(allocations.rates.iter().map(|rate| RateRow {
        layer: rate.place.layer,
        kv_head: rate.place.kv_head,
        method: rate.spending.name(),
        budget: rate.budget,
        bits: rate.bits,
        kept: rate.kept,
        predicted: rate.predicted,
        distortion: rate.distortion,
    }))
}

/// The allocation of every KV head.
pub(super) fn stored(allocations: &BitAllocations) -> Table {
    let columns = [
        "layer",
        "KV head",
        "bits per number",
        "tokens kept",
        "value bits, kept",
        "key bits",
        "predicted error",
        "true error",
    ];
    let mut rows = Vec::new();
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
    Table::new(columns, rows)
}

/// One screen: the allocation of every KV head, and the ways to spend bits beside each other at the same rate.
pub fn summary(allocations: &BitAllocations) -> String {
    format!(
        "{}\n\nErrors are over the squared norm of the output; the true one is found by running attention over the stored cache. Means \
         of bits are over the kept tokens, and over the key channels.\n\n{}\n",
        screen(&stored(allocations)),
        screen(&spendings(allocations))
    )
}

fn mean(bits: &[u8]) -> String {
    if bits.is_empty() {
        return "-".to_owned();
    }
    let sum: f64 = bits.iter().map(|&bits| f64::from(bits)).sum();
    format!("{:.1}", sum / bits.len() as f64)
}

/// True errors of the three ways to spend bits at the rates of uniform bits, the others at the largest rate that is not
/// above it.
pub(super) fn spendings(allocations: &BitAllocations) -> Table {
    let columns = [
        "bits per number",
        "uniform bits",
        "eviction only, at",
        "",
        "joint, at",
        "",
    ];
    let mut rows = Vec::new();
    let mut rates: Vec<f64> = of(allocations, Spending::Uniform).map(|rate| rate.budget).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    for rate in rates.into_iter().filter(|&rate| rate < 16.0) {
        let beside = |spending: Spending| {
            let below = of(allocations, spending)
                .map(|other| other.budget)
                .filter(|&other| other <= rate);
            let at = below.fold(0.0, f64::max);
            [format!("{at}"), geometric(allocations, spending, at)]
        };
        let [evicted_at, evicted] = beside(Spending::Eviction);
        let [joint_at, joint] = beside(Spending::Joint);
        let uniform = geometric(allocations, Spending::Uniform, rate);
        rows.push(vec![
            format!("{rate:.2}"),
            uniform,
            evicted_at,
            evicted,
            joint_at,
            joint,
        ]);
    }
    Table::new(columns, rows)
}

fn of(allocations: &BitAllocations, spending: Spending) -> impl Iterator<Item = &Rate> {
    allocations.rates.iter().filter(move |rate| rate.spending == spending)
}

/// Geometric mean of the true errors over the KV heads.
fn geometric(allocations: &BitAllocations, spending: Spending, budget: f64) -> String {
    let here = of(allocations, spending).filter(|rate| rate.budget == budget);
    let logarithms: Vec<f64> = here.map(|rate| rate.distortion.ln()).collect();
    if logarithms.is_empty() {
        return "-".to_owned();
    }
    format!(
        "{:.1e}",
        (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
    )
}
