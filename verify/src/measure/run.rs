//! Measures all heads of all captures, on all cores.

use capture::{Capture, CaptureError};
use indicatif::ProgressBar;
use obcache_scores::SelectionError;
use rayon::prelude::*;
use thiserror::Error;

use super::rows::{
    Agreement, AllocationRegret, Compensated, FieldRegret, GaugeShift, HeadId, Interaction, Projection, Regret,
    Spectrum, Summary, TokenRow,
};
use super::summary::Cells;
use super::{allocation, field, gauge, head, projection};
use crate::agreement::bootstrap;

/// What can be chosen about a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Position, as a fraction of the tokens, from which on queries are future ones.
    pub future_from: f64,
}

/// Everything the report is made of. The same captures and options give the same numbers, whatever the thread count.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurements {
    /// Per head.
    pub agreements: Vec<Agreement>,
    /// Per head, budget and protection.
    pub regrets: Vec<Regret>,
    /// Per head, budget and protection: with and without the Surgeon's update.
    pub compensated: Vec<Compensated>,
    /// Per head: the spectrum of the Gram matrix.
    pub spectra: Vec<Spectrum>,
    /// Per head: how the errors of single tokens add up.
    pub interactions: Vec<Interaction>,
    /// Per KV head behind the output projection; empty where no capture holds one.
    pub projections: Vec<Projection>,
    /// Per KV head, every score of the field on future queries.
    pub field: Vec<FieldRegret>,
    /// Per layer and per capture: every allocation of a budget among KV heads on future queries.
    pub allocations: Vec<AllocationRegret>,
    /// Means over the heads.
    pub summaries: Vec<Summary>,
    /// Per token, window `all`.
    pub tokens: Vec<TokenRow>,
    /// Sampled (weight, logit) pairs.
    pub phi_points: Vec<(f64, f64)>,
    /// Largest disagreement between closed form and brute force, over the size of the output.
    pub oracle_gap: f64,
    /// Rankings before and after one vector is added to all keys.
    pub gauge: Vec<GaugeShift>,
    /// The head whose key score the shift reorders most, with that ranking before and after.
    pub gauge_example: Option<GaugeExample>,
}

/// The key saliency of every token of one head before and after the shift of all keys.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeExample {
    /// Which head.
    pub id: HeadId,
    /// Key saliency before and after, shape (kv_len) each.
    pub key: (Vec<f64>, Vec<f64>),
    /// Joint saliency before and after, shape (kv_len) each.
    pub joint: (Vec<f64>, Vec<f64>),
    /// True error of removal before and after, shape (kv_len) each.
    pub removal: (Vec<f64>, Vec<f64>),
}

/// Why a measurement failed.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// A head cannot be built.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A saliency cannot be ranked.
    #[error("capture {capture}, layer {layer}, KV head {head}: {source}")]
    Selection {
        /// Name of the capture.
        capture: String,
        /// Layer of the model.
        layer: usize,
        /// KV head.
        head: usize,
        /// Why not.
        source: SelectionError,
    },
    /// A saliency cannot be ranked across heads.
    #[error("capture {capture}, allocation across heads: {source}")]
    Allocation {
        /// Name of the capture.
        capture: String,
        /// Why not.
        source: SelectionError,
    },
    /// One head cannot be measured.
    #[error("capture {capture}, layer {layer}, head {head}: {reason}")]
    Head {
        /// Name of the capture.
        capture: String,
        /// Layer of the model.
        layer: usize,
        /// Query head.
        head: usize,
        /// Why not.
        reason: String,
    },
    /// A head whose keys cannot be shifted.
    #[error(transparent)]
    Problem(#[from] obd_core::ProblemError),
}

/// Measures every head of `captures`; `progress` advances once a head, once a KV head behind W_O, once a layer for
/// the field, and once a capture for allocations.
///
/// # Errors
/// [`MeasureError`] where a head is no problem or overflows to NaN.
pub fn run(captures: &[Capture], options: &Options, progress: &ProgressBar) -> Result<Measurements, MeasureError> {
    let places: Vec<(HeadId, &Capture, usize)> = captures.iter().flat_map(places).collect();
    let groups: Vec<(&Capture, usize, usize)> = captures.iter().flat_map(projection::places).collect();
    let layers: Vec<(&Capture, usize)> = captures.iter().flat_map(layers).collect();
    progress.set_length((places.len() + groups.len() + layers.len() + captures.len()) as u64);
    let measured = places
        .par_iter()
        .map(|(id, capture, position)| {
            let problem = capture.head(*position, id.head)?;
            let shift = gauge::correlations(&problem)?;
            let measured = head::measure(id, problem, options).map_err(|error| MeasureError::Head {
                capture: id.capture.clone(),
                layer: id.layer,
                head: id.head,
                reason: error.to_string(),
            })?;
            progress.inc(1);
            Ok((measured, shift))
        })
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let projections = groups
        .par_iter()
        .map(|group| {
            let rows = projection::rows(group)?;
            progress.inc(1);
            Ok(rows)
        })
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let fields = layers
        .par_iter()
        .map(|(capture, position)| {
            let rows = field::rows(capture, *position, options.future_from)?;
            progress.inc(1);
            Ok(rows)
        })
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let allocations = captures
        .par_iter()
        .map(|capture| {
            let rows = allocation::rows(capture, options.future_from)?;
            progress.inc(1);
            Ok(rows)
        })
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let (heads, shifts): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    let mut all = Measurements {
        agreements: Vec::new(),
        regrets: Vec::new(),
        compensated: Vec::new(),
        spectra: Vec::new(),
        interactions: Vec::new(),
        projections: projections.concat(),
        field: fields.concat(),
        allocations: allocations.concat(),
        summaries: Vec::new(),
        tokens: Vec::new(),
        phi_points: Vec::new(),
        oracle_gap: 0.0,
        gauge: gauge_shifts(&shifts),
        gauge_example: gauge_example(&places, &shifts)?,
    };
    for head in heads {
        all.agreements.extend(head.agreements);
        all.regrets.extend(head.regrets);
        all.compensated.extend(head.compensated);
        all.spectra.extend(head.spectra);
        all.interactions.extend(head.interactions);
        all.tokens.extend(head.tokens);
        all.phi_points.extend(head.phi_points);
        all.oracle_gap = all.oracle_gap.max(head.oracle_gap);
    }
    all.summaries = means(&all);
    Ok(all)
}

fn means(all: &Measurements) -> Vec<Summary> {
    let mut cells = Cells::default();
    cells.agreements(&all.agreements);
    cells.regrets(&all.regrets);
    cells.compensations(&all.compensated);
    cells.spectra(&all.spectra);
    cells.interactions(&all.interactions);
    cells.projections(&all.projections);
    cells.field(&all.field);
    cells.allocations(&all.allocations);
    cells.means()
}

/// Every layer of a capture, by its position.
fn layers(capture: &Capture) -> Vec<(&Capture, usize)> {
    (0..capture.layers().len())
        .map(|position| (capture, position))
        .collect()
}

/// Every head of a capture: its name, the capture, and the position of its layer.
fn places(capture: &Capture) -> Vec<(HeadId, &Capture, usize)> {
    let mut places = Vec::new();
    for (position, layer) in capture.layers().iter().enumerate() {
        for head in 0..capture.groups().num_query_heads() {
            places.push((
                HeadId {
                    capture: capture.name(),
                    layer: layer.index,
                    head,
                },
                capture,
                position,
            ));
        }
    }
    places
}

fn gauge_shifts(shifts: &[Vec<Option<f64>>]) -> Vec<GaugeShift> {
    let mut rows = Vec::new();
    for (place, score) in gauge::names().into_iter().enumerate() {
        let correlations: Vec<f64> = shifts.iter().filter_map(|head| head[place]).collect();
        rows.extend(bootstrap(&correlations).map(|spearman| GaugeShift { score, spearman }));
    }
    rows
}

/// The head whose key score changes its ranking most.
fn gauge_example(
    places: &[(HeadId, &Capture, usize)],
    shifts: &[Vec<Option<f64>>],
) -> Result<Option<GaugeExample>, MeasureError> {
    let place_of = |name: &str| gauge::names().iter().position(|other| other == name).unwrap_or(0);
    let key = place_of("key");
    let correlation = |place: usize| shifts[place][key].unwrap_or(1.0);
    let Some(most) = (0..places.len()).min_by(|&a, &b| correlation(a).total_cmp(&correlation(b))) else {
        return Ok(None);
    };
    let (id, capture, position) = &places[most];
    let head = capture.head(*position, id.head)?;
    let moved = gauge::shifted(&head)?;
    let (before, after) = (gauge::rankings(&head), gauge::rankings(&moved));
    let pair = |place: usize| (before[place].to_vec(), after[place].to_vec());
    Ok(Some(GaugeExample {
        id: id.clone(),
        key: pair(key),
        joint: pair(place_of("joint")),
        removal: pair(place_of("error of removal")),
    }))
}
