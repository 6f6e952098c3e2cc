//! One case, made ready once and judged for any number of kernels.

use std::borrow::Cow;

use ndarray::ArrayD;
use obd_core::ProblemError;

use super::evidence::{Compared, Evidence, Subject};
use super::judgement::{greatest_error, pragmatic};
use super::part::Part;
use super::report::CaseReport;
use super::tolerance::{stored, tolerance};
use super::{Answer, Values};
use crate::rendering::Rendering;
use crate::{Arithmetic, Case, Output, Precision};

/// A case made ready to judge kernels of one arithmetic.
pub struct Judge<'a> {
    case: &'a Case,
    asked: Vec<Asked<'a>>,
}

/// One output of the case.
struct Asked<'a> {
    output: &'a Output,
    /// The tolerance of every element before it is stored.
    tolerance: ArrayD<f64>,
    /// The greatest error of the naive formula.
    naive: f64,
}

impl<'a> Judge<'a> {
    /// Makes ready `case` for kernels of this arithmetic: a [`Precision`] to accumulate in, or an [`Arithmetic`], whose
    /// `stored` is that of each result.
    ///
    /// # Errors
    /// [`ProblemError`] where the case is no attention problem; none that a suite hands out.
    pub fn new(case: &'a Case, arithmetic: impl Into<Arithmetic>) -> Result<Self, ProblemError> {
        let heads = case.problem.heads()?;
        let exact = Rendering::plain(Precision::F64).attend(&case.problem);
        let naive = Rendering::naive(case.dtype.into()).attend(&case.problem);
        let group_size = case.problem.group_size();
        let arithmetic = Arithmetic {
            stored: Precision::F64,
            ..arithmetic.into()
        };
        let asked = |output: &'a Output| Asked {
            output,
            tolerance: tolerance(&heads, exact.heads(), group_size, output, &arithmetic),
            naive: greatest_error(&output.truth, &naive.output(&output.spec)),
        };
        Ok(Self {
            case,
            asked: case.outputs.iter().map(asked).collect(),
        })
    }

    /// The case.
    pub fn case(&self) -> &'a Case {
        self.case
    }
}

/// Judges the outputs of one case, `answers` in the order of the case's outputs.
pub fn judge_case<'a>(judge: &Judge<'a>, answers: &'a [Answer<Values>]) -> (CaseReport, Evidence<'a>) {
    let case = judge.case;
    let mut report = CaseReport::new(&case.id, &case.family, &case.flags);
    let mut compared = Vec::new();
    for (asked, answer) in judge.asked.iter().zip(answers) {
        let (truth, part) = (&asked.output.truth, Part::Output(asked.output.spec));
        let Some(values) = report.usable(part, truth.shape(), answer, Values::shape) else {
            continue;
        };
        let tolerance = stored(asked.tolerance.clone(), truth, values.stored);
        let pragmatic = pragmatic(truth, values, asked.naive);
        report.judge(part, truth, &values.numbers, &tolerance, pragmatic);
        compared.push(Compared {
            part,
            truth: Cow::Borrowed(truth),
            numbers: Cow::Borrowed(&values.numbers),
            tolerance,
        });
    }
    (report, Evidence::new(Subject::Case(case), compared))
}
