//! The report of one case, or of one decode trace, filled part by part.

use ndarray::ArrayD;

use super::Answer;
use super::judgement::Judgement;
use super::part::Part;
use super::report::CaseReport;
use super::symptom::symptoms;

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

    /// The numbers of a part where they can be judged; a reason why not is recorded.
    pub(super) fn usable<'a, T>(
        &mut self,
        part: Part,
        expected: &[usize],
        answer: &'a Answer<T>,
        shape: fn(&T) -> &[usize],
    ) -> Option<&'a T> {
        let reason = match answer {
            Answer::NotComputed => return None,
            Answer::Given(numbers) if shape(numbers) == expected => return Some(numbers),
            Answer::Given(numbers) => format!("shape {:?}, expected {expected:?}", shape(numbers)),
            Answer::Unusable(reason) => reason.clone(),
        };
        self.refused.push((format!("{}/{part}", self.id), reason));
        None
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
            ..Judgement::new(part, truth, numbers, tolerance)
        };
        if !judgement.passed() && part != Part::Kept {
            let found = symptoms(part.axes(), truth, numbers, tolerance);
            self.symptoms
                .extend(found.into_iter().map(|symptom| format!("{part}: {symptom}")));
        }
        self.judgements.push(judgement);
    }
}
