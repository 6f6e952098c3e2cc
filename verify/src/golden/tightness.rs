//! How tight the error bound is: against the error that an honest f32 rendering makes, element by element.

use std::collections::BTreeMap;

use golden::check::{Compared, Judge, Part, judge_case, judge_trace};
use golden::rendering::Rendering;
use golden::{Case, DecodeTrace, Precision, Suite};
use obd_core::ProblemError;
use rayon::prelude::*;

use super::catches::{decoded, plain};

/// One family, or one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Tightness {
    /// Family or output.
    pub name: String,
    /// Numbers compared.
    pub elements: usize,
    /// Median of bound over error.
    pub median: f64,
    /// Largest error over bound.
    pub worst: f64,
}

/// Bound over error and error over bound of one number.
type Ratio = (f64, f64);

/// Tightness of every family, in alphabetical order, and of every output.
///
/// An error below one rounding of the number, or below the smallest normal number, counts as that: no kernel can know
/// to be better. Numbers that are exactly 0 or infinite, and are met, are left out.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn tightness(suite: &Suite) -> Result<(Vec<Tightness>, Vec<Tightness>), ProblemError> {
    let cases = suite.cases.par_iter().map(of_case).collect::<Result<Vec<_>, _>>()?;
    let traces = suite
        .decode_traces
        .par_iter()
        .map(of_trace)
        .collect::<Result<Vec<_>, _>>()?;
    let ratios: Vec<Named> = cases.into_iter().flatten().chain(traces).collect();
    let families = ratios.iter().map(|(family, _, ratios)| (*family, ratios));
    let outputs = ratios.iter().map(|(_, output, ratios)| (*output, ratios));
    Ok((gathered(families), gathered(outputs)))
}

/// Family, output, and the ratios of its numbers.
type Named<'a> = (&'a str, &'a str, Vec<Ratio>);

fn of_case(case: &Case) -> Result<Vec<Named<'_>>, ProblemError> {
    let judge = Judge::new(case, Precision::F32)?;
    let answers = plain(Rendering::plain(Precision::F32), case);
    let (_, evidence) = judge_case(&judge, &answers);
    let outputs = case.outputs.iter().zip(evidence.outputs());
    let named = outputs.map(|(output, compared)| (case.family.as_str(), output.spec.kind.name(), ratios(compared)));
    Ok(named.collect())
}

/// A trace counts for the output that it accumulates.
fn of_trace(trace: &DecodeTrace) -> Result<Named<'_>, ProblemError> {
    let values = decoded(Rendering::plain(Precision::F32), trace);
    let (_, evidence) = judge_trace(trace, &values, Precision::F32)?;
    let saliencies = evidence.outputs().iter().filter(|compared| compared.part != Part::Kept);
    let ratios = saliencies.flat_map(ratios).collect();
    Ok((DecodeTrace::FAMILY, trace.policy.score.name(), ratios))
}

fn ratios(compared: &Compared<'_>) -> Vec<Ratio> {
    let numbers = compared.numbers();
    numbers
        .filter_map(|(got, truth, tolerance)| ratio(truth, got, tolerance))
        .collect()
}

fn ratio(truth: f64, got: f64, tolerance: f64) -> Option<Ratio> {
    if truth == got && (truth == 0.0 || truth.is_infinite()) {
        return None;
    }
    let error = (got - truth).abs();
    let f32 = Precision::F32;
    let counted = error.max(f32.unit_roundoff() * truth.abs() + f32.smallest_normal());
    Some((tolerance / counted, error / tolerance))
}

fn gathered<'a>(named: impl Iterator<Item = (&'a str, &'a Vec<Ratio>)>) -> Vec<Tightness> {
    let mut all: BTreeMap<&str, Vec<Ratio>> = BTreeMap::new();
    for (name, ratios) in named {
        all.entry(name).or_default().extend(ratios);
    }
    all.into_iter().map(|(name, ratios)| summed_up(name, ratios)).collect()
}

fn summed_up(name: &str, mut ratios: Vec<Ratio>) -> Tightness {
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    Tightness {
        name: name.to_owned(),
        elements: ratios.len(),
        // Of no numbers there is no median.
        median: ratios.get(ratios.len() / 2).map_or(f64::NAN, |ratio| ratio.0),
        worst: ratios.iter().fold(0.0, |worst, ratio| ratio.1.max(worst)),
    }
}
