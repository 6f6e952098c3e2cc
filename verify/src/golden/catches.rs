//! The check, checked: every known bug is rendered on the whole suite, must fail it, and must be named.

use golden::check::{
    Answer, Compared, DecodeValues, Diagnosis, Evidence, Judge, Part, TraceAnswers, Values, diagnose, error_in_bounds,
    judge_case, judge_trace,
};
use golden::rendering::{Deviation, Rendering};
use golden::{Case, DecodeTrace, Dtype, Output, OutputKind, Precision, Suite};
use ndarray::ArrayD;
use obd_core::ProblemError;
use rayon::prelude::*;

/// What became of one bug on the cases of one format.
#[derive(Debug, Clone, PartialEq)]
pub struct Catch {
    /// The bug.
    pub deviation: Deviation,
    /// The format of the inputs.
    pub dtype: Dtype,
    /// Cases and traces in which at least one number lay beyond its bound.
    pub failed: usize,
    /// Their families, in the order of the suite.
    pub families: Vec<String>,
    /// The bugs that the report names; the right one alone where all is well.
    pub named: Vec<Deviation>,
}

/// An honest rendering, and its largest error in units of the bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Honest {
    /// What it is.
    pub name: &'static str,
    /// The format of the inputs.
    pub dtype: Dtype,
    /// Numbers it was judged on.
    pub elements: usize,
    /// Its largest error in units of the bound.
    pub worst: f64,
}

/// An honest way to compute.
struct Kernel {
    name: &'static str,
    rendering: Rendering,
    /// Whether outputs are stored in the format of the inputs.
    narrow: bool,
}

fn kernels() -> [Kernel; 3] {
    let kernel = |name, rendering, narrow| Kernel {
        name,
        rendering,
        narrow,
    };
    let online = Rendering::online(Precision::F32, 16);
    [
        kernel("f32, two passes over the row", Rendering::plain(Precision::F32), false),
        kernel("f32, online softmax in tiles of 16", online, false),
        kernel("the same, output stored in the format of the inputs", online, true),
    ]
}

impl Kernel {
    fn answers(&self, case: &Case) -> Vec<Answer<Values>> {
        let rendered = self.rendering.attend(&case.problem);
        let values = |output: &Output| {
            let mut values = stored(rendered.output(&output.spec));
            if self.narrow && output.spec.kind == OutputKind::Output {
                values.stored = case.dtype.into();
                values.numbers.mapv_inplace(|number| values.stored.round(number));
            }
            Answer::Given(values)
        };
        case.outputs.iter().map(values).collect()
    }
}

/// Every bug in every format it can exist in.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn catches(suite: &Suite) -> Result<Vec<Catch>, ProblemError> {
    let mut catches = Vec::new();
    for dtype in Dtype::ALL {
        let judges = judges(suite, dtype)?;
        let traces = traces(suite, dtype);
        let bugs: Vec<Deviation> = Deviation::ALL
            .iter()
            .copied()
            .filter(|bug| bug.exists_in(dtype))
            .collect();
        let caught = bugs.par_iter().map(|&bug| catch(&judges, &traces, dtype, bug));
        catches.extend(caught.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(catches)
}

/// Every honest rendering in every format.
///
/// # Errors
/// As of [`catches`].
pub fn honest(suite: &Suite) -> Result<Vec<Honest>, ProblemError> {
    let mut honest = Vec::new();
    for dtype in Dtype::ALL {
        let judges = judges(suite, dtype)?;
        let traces = traces(suite, dtype);
        for kernel in kernels() {
            let cases = judges.par_iter().map(|judge| {
                let answers = kernel.answers(judge.case());
                Ok(numbers(&judge_case(judge, &answers).1))
            });
            let loops = traces.par_iter().map(|trace| {
                let (report, evidence) = judge_trace(trace, &decoded(kernel.rendering, trace), Precision::F32)?;
                let (elements, worst) = numbers(&evidence);
                // A wrong choice is beyond every bound.
                Ok((elements, if report.passed() { worst } else { f64::INFINITY }))
            });
            let found = cases
                .chain(loops)
                .collect::<Result<Vec<(usize, f64)>, ProblemError>>()?;
            honest.push(Honest {
                name: kernel.name,
                dtype,
                elements: found.iter().map(|(elements, _)| elements).sum(),
                worst: found.iter().fold(0.0, |worst, (_, error)| error.max(worst)),
            });
        }
    }
    Ok(honest)
}

/// How many numbers there are, and the largest error in units of the bound.
fn numbers(evidence: &Evidence<'_>) -> (usize, f64) {
    let saliencies = evidence.outputs().iter().filter(|compared| compared.part != Part::Kept);
    let numbers = saliencies.flat_map(Compared::numbers);
    numbers.fold((0, 0.0), |(elements, worst), (got, truth, tolerance)| {
        (elements + 1, error_in_bounds(got, truth, tolerance).max(worst))
    })
}

fn traces(suite: &Suite, dtype: Dtype) -> Vec<&DecodeTrace> {
    suite
        .decode_traces
        .iter()
        .filter(|trace| trace.dtype == dtype)
        .collect()
}

fn judges(suite: &Suite, dtype: Dtype) -> Result<Vec<Judge<'_>>, ProblemError> {
    let cases: Vec<&Case> = suite.cases.iter().filter(|case| case.dtype == dtype).collect();
    cases
        .into_par_iter()
        .map(|case| Judge::new(case, Precision::F32))
        .collect()
}

/// Every output of a case.
pub(super) fn plain(rendering: Rendering, case: &Case) -> Vec<Answer<Values>> {
    let rendered = rendering.attend(&case.problem);
    let values = |output: &Output| Answer::Given(stored(rendered.output(&output.spec)));
    case.outputs.iter().map(values).collect()
}

/// Every part of a decode trace.
pub(super) fn decoded(rendering: Rendering, trace: &DecodeTrace) -> TraceAnswers {
    let decoded = rendering.decode(&trace.problem, &trace.policy);
    let values = DecodeValues {
        prefill_saliency: Some(stored(decoded.prefill_saliency.into_dyn())),
        step_saliency: Some(stored(decoded.step_saliency.into_dyn())),
        kept: Some(decoded.kept.mapv(|position| position as i64).into_dyn()),
    };
    values.into()
}

fn stored(numbers: ArrayD<f64>) -> Values {
    Values {
        numbers,
        stored: Precision::F32,
    }
}

fn catch(
    judges: &[Judge<'_>],
    traces: &[&DecodeTrace],
    dtype: Dtype,
    deviation: Deviation,
) -> Result<Catch, ProblemError> {
    let rendering = Rendering::plain(Precision::F32).with(deviation);
    let given: Vec<Vec<Answer<Values>>> = judges.iter().map(|judge| plain(rendering, judge.case())).collect();
    let cases = judges.iter().zip(&given);
    let mut evidence: Vec<Evidence<'_>> = cases.map(|(judge, answers)| judge_case(judge, answers).1).collect();
    for trace in traces {
        evidence.push(judge_trace(trace, &decoded(rendering, trace), Precision::F32)?.1);
    }
    let names = judges.iter().map(|judge| judge.case().family.as_str());
    let names = names.chain(traces.iter().map(|_| DecodeTrace::FAMILY));
    let failed = names.zip(&evidence).filter(|(_, evidence)| evidence.failed());
    let mut families: Vec<String> = failed.clone().map(|(family, _)| family.to_owned()).collect();
    families.dedup();
    Ok(Catch {
        deviation,
        dtype,
        failed: failed.count(),
        families,
        named: match diagnose(&evidence) {
            Diagnosis::Matches(matches) => matches.into_iter().map(|matched| matched.deviation).collect(),
            Diagnosis::ErrsLike(_) | Diagnosis::Unknown(_) => Vec::new(),
        },
    })
}
