//! Measures all heads of all captures, on all cores.

use capture::Capture;
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::error::MeasureError;
use super::gauge::Correlations;
use super::head::HeadMeasurement;
use super::means::Means;
use super::measurements::Measurements;
use super::options::Options;
use super::rows::HeadId;
use super::values::Values;
use super::{budgets, field, gauge, head, projection};

/// Measures every head of `captures`; `progress` advances once a head, once a KV head behind W_O, once a layer for
/// the field, and once a capture for budgets across heads.
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
    let budgets = captures
        .par_iter()
        .map(|capture| {
            let rows = budgets::rows(capture, options.future_from)?;
            progress.inc(1);
            Ok(rows)
        })
        .collect::<Result<Vec<_>, MeasureError>>()?;
    let (heads, shifts): (Vec<HeadMeasurement>, Vec<Correlations>) = measured.into_iter().unzip();
    let mut all = Measurements {
        agreements: Vec::new(),
        regrets: Vec::new(),
        compensated: Vec::new(),
        spectra: Vec::new(),
        interactions: Vec::new(),
        projections: projections.concat(),
        field: fields.concat(),
        budgets: budgets.concat(),
        means: Means::default(),
        tokens: Vec::new(),
        phi_points: Vec::new(),
        oracle_gap: 0.0,
        gauge: gauge::shifts(&shifts),
        future_heads: heads.iter().filter(|head| head.has_future).count(),
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
    all.means = means(&all);
    Ok(all)
}

fn means(all: &Measurements) -> Means {
    let mut values = Values::default();
    values.agreements(&all.agreements);
    values.regrets(&all.regrets);
    values.compensations(&all.compensated);
    values.spectra(&all.spectra);
    values.interactions(&all.interactions);
    values.projections(&all.projections);
    values.field(&all.field);
    values.sharing(&all.budgets);
    values.means()
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

/// The head whose key score changes its order most.
fn gauge_example(
    places: &[(HeadId, &Capture, usize)],
    shifts: &[Correlations],
) -> Result<Option<gauge::GaugeExample>, MeasureError> {
    let Some(most) = gauge::most_moved(shifts) else {
        return Ok(None);
    };
    let (id, capture, position) = &places[most];
    let head = capture.head(*position, id.head)?;
    Ok(Some(gauge::example(id, &head)?))
}
