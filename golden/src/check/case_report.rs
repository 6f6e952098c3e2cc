//! The report of one case, or of one decode trace, filled part by part.

use ndarray::ArrayD;

use super::diagnosis::Part;
use super::symptom::symptoms;
use super::{CaseReport, Judgement};

impl CaseReport {
    /// With nothing judged yet.
    pub(super) fn new(id: &str, family: &str, flags: &[String]) -> Self {
        Self {
            id: id.to_owned(),
            family: family.to_owned(),
            flags: flags.to_vec(),
            judgements: Vec::new(),
            refused: Vec::new(),
            symptoms: Vec::new(),
        }
    }

    /// Whether numbers have the shape of the part; they are refused where they do not.
    pub(super) fn fits(&mut self, part: Part, shape: &[usize], expected: &[usize]) -> bool {
        let fits = shape == expected;
        if !fits {
            let reason = format!("shape {shape:?}, expected {expected:?}");
            self.refused.push((part.name(), reason));
        }
        fits
    }

    /// Judges a part; failures are looked over for what they have in common, but not those of kept positions.
    pub(super) fn judge(
        &mut self,
        part: Part,
        truth: &ArrayD<f64>,
        numbers: &ArrayD<f64>,
        tolerance: &ArrayD<f64>,
        pragmatic: f64,
    ) {
        let judgement = Judgement {
            pragmatic,
            ..Judgement::new(part.name(), part.axes(), truth, numbers, tolerance)
        };
        if !judgement.passed() && part != Part::Kept {
            let found = symptoms(part.axes(), truth, numbers, tolerance);
            self.symptoms
                .extend(found.into_iter().map(|symptom| format!("{}: {symptom}", part.name())));
        }
        self.judgements.push(judgement);
    }
}
