//! Cases and traces from their entries in the manifest and their tensors.

use std::path::Path;

use ndarray::{Array2, Array3, ArrayD, Dimension};

use crate::manifest::{CaseEntry, DecodeEntry, ProblemEntry, TwinEntry};
use crate::tensors::Tensors;
use crate::{
    AttentionProblem, Case, DecodePolicy, DecodeTrace, Mask, Output, OutputSpec, SuiteError, Twin, TwinRelation,
};

/// What a case can be refused for: its tensors, or the words of its entry.
pub(crate) enum Refusal {
    Suite(SuiteError),
    Entry(String),
}

impl Refusal {
    pub fn at(self, manifest: &Path) -> SuiteError {
        match self {
            Self::Suite(error) => error,
            Self::Entry(reason) => SuiteError::Manifest {
                file: manifest.to_owned(),
                reason,
            },
        }
    }
}

impl From<SuiteError> for Refusal {
    fn from(error: SuiteError) -> Self {
        Self::Suite(error)
    }
}

pub(crate) fn read_case(tensors: &Tensors, entry: &CaseEntry) -> Result<Case, Refusal> {
    let problem = read_problem(tensors, &entry.id, &entry.problem)?;
    let mut outputs = Vec::new();
    for output in &entry.outputs {
        let spec = spec(&entry.id, &output.name)?;
        if spec.shape(&problem) != output.shape {
            let expected = spec.shape(&problem);
            return Err(Refusal::Entry(format!(
                "{}: {spec}: shape {:?}, expected {expected:?}",
                entry.id, output.shape
            )));
        }
        let truth = tensors.truth(&format!("{}/output/{spec}", entry.id), &output.shape)?;
        outputs.push(Output { spec, truth });
    }
    Ok(Case {
        id: entry.id.clone(),
        family: entry.family.clone(),
        comment: entry.comment.clone(),
        flags: entry.flags.clone(),
        dtype: entry.problem.dtype,
        problem,
        outputs,
        twin: entry.twin.as_ref().map(|twin| read_twin(&entry.id, twin)).transpose()?,
    })
}

fn spec(case: &str, name: &str) -> Result<OutputSpec, Refusal> {
    name.parse().map_err(|error| Refusal::Entry(format!("{case}: {error}")))
}

fn read_twin(case: &str, entry: &TwinEntry) -> Result<Twin, Refusal> {
    let relation = match (entry.relation.as_str(), &entry.order) {
        ("permutation", Some(order)) => TwinRelation::Permutation(order.clone()),
        ("key-shift", None) => TwinRelation::KeyShift,
        ("value-shift", None) => TwinRelation::ValueShift,
        (other, _) => return Err(Refusal::Entry(format!("{case}: there is no relation {other:?}"))),
    };
    Ok(Twin {
        case: entry.case.clone(),
        relation,
        equal_outputs: entry
            .equal_outputs
            .iter()
            .map(|name| spec(case, name))
            .collect::<Result<_, _>>()?,
    })
}

pub(crate) fn read_trace(tensors: &Tensors, entry: &DecodeEntry) -> Result<DecodeTrace, Refusal> {
    let problem = read_problem(tensors, &entry.id, &entry.problem)?;
    check_policy(entry, &problem).map_err(|reason| Refusal::Entry(format!("{}: {reason}", entry.id)))?;
    let heads = problem.num_query_heads();
    let steps = problem.kv_len().saturating_sub(entry.prefill);
    let kept = entry.heavy + entry.recent;
    let name = |part| format!("{}/output/{part}", entry.id);
    Ok(DecodeTrace {
        prefill_saliency: exact(tensors.truth(&name("prefill-saliency"), &[heads, entry.prefill])?),
        step_saliency: exact(tensors.truth(&name("step-saliency"), &[steps, heads, kept + 1])?),
        kept: exact(tensors.positions(&name("kept"), &[steps + 1, heads, kept])?),
        policy: DecodePolicy {
            score: spec(&entry.id, &entry.score)?.kind,
            prefill: entry.prefill,
            prefill_window: entry.prefill_window,
            heavy: entry.heavy,
            recent: entry.recent,
        },
        id: entry.id.clone(),
        comment: entry.comment.clone(),
        flags: entry.flags.clone(),
        dtype: entry.problem.dtype,
        problem,
    })
}

fn check_policy(entry: &DecodeEntry, problem: &AttentionProblem) -> Result<(), String> {
    if problem.query_len() != problem.kv_len() {
        let (queries, tokens) = (problem.query_len(), problem.kv_len());
        return Err(format!("{queries} queries, expected as many as tokens: {tokens}"));
    }
    let kept = entry.heavy.saturating_add(entry.recent);
    let fits = kept <= entry.prefill && entry.prefill <= problem.kv_len();
    if !fits || entry.recent == 0 || !(1..=entry.prefill).contains(&entry.prefill_window) {
        return Err(format!(
            "prefill {}, prefill_window {}, heavy {}, recent {}: expected 0 < prefill_window <= prefill, recent > 0 and \
             heavy + recent <= prefill <= {}",
            entry.prefill,
            entry.prefill_window,
            entry.heavy,
            entry.recent,
            problem.kv_len()
        ));
    }
    Ok(())
}

fn read_problem(tensors: &Tensors, case: &str, entry: &ProblemEntry) -> Result<AttentionProblem, SuiteError> {
    let name = |part| format!("{case}/input/{part}");
    let inputs = |part, shape: &[usize]| tensors.inputs(&name(part), entry.dtype, shape);
    let explicit: Option<Array2<bool>> = match entry.mask.explicit {
        true => Some(exact(tensors.mask(&name("mask"), &[entry.query_len, entry.kv_len])?)),
        false => None,
    };
    let sinks = match entry.sink {
        true => Some(inputs("sink", &[entry.num_query_heads])?.into_iter().collect()),
        false => None,
    };
    let problem = AttentionProblem {
        query: tensor(inputs(
            "query",
            &[entry.num_query_heads, entry.query_len, entry.head_dim],
        )?),
        key: tensor(inputs("key", &[entry.num_kv_heads, entry.kv_len, entry.head_dim])?),
        value: tensor(inputs("value", &[entry.num_kv_heads, entry.kv_len, entry.value_dim])?),
        scale: entry.scale,
        mask: Mask {
            causal: entry.mask.causal,
            sliding_window: entry.mask.sliding_window,
            explicit,
            segments: entry.mask.segments.clone(),
        },
        softcap: entry.softcap,
        sinks,
    };
    match problem.heads() {
        Ok(_) => Ok(problem),
        Err(source) => Err(SuiteError::Problem {
            case: case.to_owned(),
            source,
        }),
    }
}

fn tensor(numbers: ArrayD<f64>) -> Array3<f64> {
    exact(numbers)
}

/// The array with as many axes as its shape, which was checked when it was read.
fn exact<T, D: Dimension>(numbers: ArrayD<T>) -> ndarray::Array<T, D> {
    numbers.into_dimensionality().expect("read with this many axes")
}
