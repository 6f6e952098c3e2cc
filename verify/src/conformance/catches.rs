//! The check, checked: every known bug is rendered on the whole suite, must fail it, and must be named.

use golden::check::{Diagnosis, Evidence, Judge, Values, diagnose};
use golden::rendering::{Deviation, Rendering};
use golden::{Case, Dtype, Output, OutputKind, Precision, Suite};
use obd_core::ProblemError;
use rayon::prelude::*;

/// What became of one bug on the cases of one format.
#[derive(Debug, Clone, PartialEq)]
pub struct Catch {
    /// The bug.
    pub deviation: Deviation,
    /// The format of the inputs.
    pub dtype: Dtype,
    /// Cases in which at least one number lay beyond its bound.
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

/// A way to compute every output of a case.
type Kernel = fn(&Case) -> Vec<Values>;

/// Honest ways to compute.
const HONEST: [(&str, Kernel); 3] = [
    ("f32, two passes over the row", |case| {
        plain(Rendering::plain(Precision::F32), case)
    }),
    ("f32, online softmax in tiles of 16", |case| {
        plain(Rendering::online(Precision::F32, 16), case)
    }),
    ("the same, output stored in the format of the inputs", |case| {
        let mut values = plain(Rendering::online(Precision::F32, 16), case);
        for (output, values) in case.outputs.iter().zip(&mut values) {
            if output.spec.kind == OutputKind::Output {
                values.stored = case.dtype.into();
                values.numbers.mapv_inplace(|number| values.stored.round(number));
            }
        }
        values
    }),
];

/// Every bug in every format it can exist in.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn catches(suite: &Suite) -> Result<Vec<Catch>, ProblemError> {
    let mut catches = Vec::new();
    for dtype in Dtype::ALL {
        let judges = judges(suite, dtype)?;
        let bugs: Vec<Deviation> = Deviation::ALL
            .iter()
            .copied()
            .filter(|bug| bug.exists_in(dtype))
            .collect();
        catches.par_extend(bugs.par_iter().map(|&bug| catch(&judges, dtype, bug)));
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
        honest.par_extend(HONEST.par_iter().map(|&(name, kernel)| {
            let mut found = Honest {
                name,
                dtype,
                elements: 0,
                worst: 0.0,
            };
            for judge in &judges {
                for (output, values) in judge.case().outputs.iter().zip(kernel(judge.case())) {
                    let judgement = judge.judge(output, &values);
                    found.elements += judgement.elements;
                    found.worst = judgement.worst.map_or(0.0, |worst| worst.error).max(found.worst);
                }
            }
            found
        }));
    }
    Ok(honest)
}

fn judges(suite: &Suite, dtype: Dtype) -> Result<Vec<Judge<'_>>, ProblemError> {
    let cases: Vec<&Case> = suite.cases.iter().filter(|case| case.dtype == dtype).collect();
    cases
        .into_par_iter()
        .map(|case| Judge::new(case, Precision::F32))
        .collect()
}

fn plain(rendering: Rendering, case: &Case) -> Vec<Values> {
    let rendered = rendering.attend(&case.problem);
    let values = |output: &Output| Values {
        numbers: rendered.output(&output.spec),
        stored: Precision::F32,
    };
    case.outputs.iter().map(values).collect()
}

fn catch(judges: &[Judge<'_>], dtype: Dtype, deviation: Deviation) -> Catch {
    let rendering = Rendering::plain(Precision::F32).with(deviation);
    let given: Vec<Vec<Values>> = judges.iter().map(|judge| plain(rendering, judge.case())).collect();
    let evidence: Vec<Evidence<'_>> = judges
        .iter()
        .zip(&given)
        .map(|(judge, values)| Evidence::new(judge, &judge.case().outputs.iter().zip(values).collect::<Vec<_>>()))
        .collect();
    let failed = judges.iter().zip(&evidence).filter(|(_, evidence)| evidence.failed());
    let mut families: Vec<String> = failed.clone().map(|(judge, _)| judge.case().family.clone()).collect();
    families.dedup();
    Catch {
        deviation,
        dtype,
        failed: failed.count(),
        families,
        named: match diagnose(&evidence) {
            Diagnosis::Matches(matches) => matches.into_iter().map(|matched| matched.deviation).collect(),
            Diagnosis::ErrsLike(_) | Diagnosis::Unknown(_) => Vec::new(),
        },
    }
}
