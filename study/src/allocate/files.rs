//! The files of an allocation: tables, figure and page.

use std::path::PathBuf;

use super::figure::rate_distortion;
use super::measure::BitAllocations;
use super::tables::{bits_table, rates_table, spendings, stored};
use crate::page::{Page, PageTable};
use crate::report::ReportError;

const INTRODUCTION: &str = "Every KV head has the same budget of bits, to be spread over the values of its tokens and the channels of its keys; 0 bits evict a token. \
    The model of the distortion says where a bit saves most; then attention is run again over the cache as stored, and its <em>true error</em> is set beside \
    the <em>predicted</em> one. Errors are over the squared norm of the output; bits count everything that is stored, scales and offsets of groups included.";

/// The files by their path inside the folder, `index.html` last, of what the capture `name` was allocated at `bits` per number;
/// equal allocations give equal bytes.
///
/// # Errors
/// [`ReportError`] where figure, table or page cannot be made.
pub fn files(allocations: &BitAllocations, name: &str, bits: f64) -> Result<Vec<(PathBuf, Vec<u8>)>, ReportError> {
    let figure = rate_distortion(allocations)?;
    let page = Page {
        title: format!("What {bits} bits a number keep of {name}"),
        introduction: INTRODUCTION,
        findings: Vec::new(),
        figures: vec![&figure],
        tables: vec![
            PageTable::open(format!("The allocation at {bits} bits a number, KV head by KV head"), stored(allocations)),
            PageTable::open(
                "True errors at the rates of uniform bits, the others at the largest rate that is not above: geometric means over the KV heads".to_owned(),
                spendings(allocations),
            ),
        ],
        files: &["bits.csv", "rates.csv"],
    };
    Ok(vec![
        ("bits.csv".into(), bits_table(allocations)?),
        ("rates.csv".into(), rates_table(allocations)?),
        ("rate-distortion.svg".into(), figure.svg().as_bytes().to_vec()),
        ("rate-distortion.png".into(), figure.png()?),
        ("index.html".into(), page.render()?.into_bytes()),
    ])
}
