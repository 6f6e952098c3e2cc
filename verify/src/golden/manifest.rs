//! The manifest's entries, and the schema that they follow.

use golden::manifest::{
    CaseEntry, DecodeEntry, FileEntry, Manifest, MaskEntry, OutputEntry, OutputToleranceEntry, ProblemEntry,
    ToleranceEntry, TwinEntry,
};
use golden::{AttentionProblem, Case, DecodeTrace, Dtype, OutputKind, OutputSpec, Twin, TwinRelation, sha256};
use schemars::{Schema, schema_for};

use super::certify::TruthError;
use super::conditioning::conditioning;
use super::flags::FLAGS;

/// Version of the suite: a major for a number that moved, a minor for new cases, a patch for words.
pub const VERSION: &str = "1.0.0";

/// The file that holds the tensors of a case.
pub(super) fn file_name(id: &str) -> String {
    let (family, _) = id.split_once('/').expect("an identifier is FAMILY/NAME");
    format!("{family}.safetensors")
}

/// The JSON schema of the manifest.
pub(super) fn schema() -> Schema {
    schema_for!(Manifest)
}

/// The manifest of these cases and traces, whose tensors are in `files`.
///
/// # Errors
/// [`TruthError::Problem`] where a case is no attention problem.
pub(super) fn manifest(
    cases: &[Case],
    traces: &[DecodeTrace],
    files: &[(String, Vec<u8>)],
) -> Result<Manifest, TruthError> {
    let flags = FLAGS.map(|(flag, bug)| (flag.to_owned(), bug.to_owned()));
    let entry = |(name, bytes): &(String, Vec<u8>)| FileEntry {
        name: name.clone(),
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
    };
    Ok(Manifest {
        suite: "obcache-golden".to_owned(),
        version: VERSION.to_owned(),
        certified: "Every number is the f64 nearest to the true value of its formula for the inputs as they are stored \
                    (round to nearest, ties to even), proved by evaluating the formula with an error bound both of whose \
                    ends round to it."
            .to_owned(),
        tolerance: ToleranceEntry {
            derivation: "docs/derivations/error-bound.md".to_owned(),
            accumulate: Dtype::F32.name().to_owned(),
            unit_roundoff: Dtype::F32.unit_roundoff(),
        },
        flags: flags.into(),
        files: files.iter().map(entry).collect(),
        cases: cases.iter().map(case_entry).collect::<Result<_, _>>()?,
        decode_traces: traces.iter().map(decode_entry).collect(),
    })
}

fn case_entry(case: &Case) -> Result<CaseEntry, TruthError> {
    Ok(CaseEntry {
        id: case.id.clone(),
        family: case.family.clone(),
        file: file_name(&case.id),
        comment: case.comment.clone(),
        flags: case.flags.clone(),
        problem: problem_entry(case.dtype, &case.problem),
        conditioning: conditioning(&case.problem)?,
        outputs: case
            .outputs
            .iter()
            .map(|output| output_entry(&case.problem, output.spec))
            .collect(),
        twin: case.twin.as_ref().map(twin_entry),
    })
}

fn output_entry(problem: &AttentionProblem, spec: OutputSpec) -> OutputEntry {
    OutputEntry {
        name: spec.to_string(),
        shape: spec.shape(problem),
        tolerance: output_tolerance(problem, spec),
    }
}

fn output_tolerance(problem: &AttentionProblem, spec: OutputSpec) -> OutputToleranceEntry {
    let (section, queries) = match spec.kind {
        OutputKind::Output => (4, 1),
        OutputKind::LogSumExp => (3, 1),
        _ => (5, spec.query_window.queries(problem.query_len()).len()),
    };
    OutputToleranceEntry {
        section,
        queries,
        heads: spec.group_reduction.map_or(1, |_| problem.group_size()),
    }
}

fn twin_entry(twin: &Twin) -> TwinEntry {
    let (relation, order) = match &twin.relation {
        TwinRelation::Permutation(order) => ("permutation", Some(order.clone())),
        TwinRelation::KeyShift => ("key-shift", None),
        TwinRelation::ValueShift => ("value-shift", None),
    };
    TwinEntry {
        case: twin.case.clone(),
        relation: relation.to_owned(),
        order,
        equal_outputs: twin.equal_outputs.iter().map(OutputSpec::to_string).collect(),
    }
}

fn decode_entry(trace: &DecodeTrace) -> DecodeEntry {
    DecodeEntry {
        id: trace.id.clone(),
        file: file_name(&trace.id),
        comment: trace.comment.clone(),
        flags: trace.flags.clone(),
        problem: problem_entry(trace.dtype, &trace.problem),
        score: trace.policy.score.name().to_owned(),
        prefill: trace.policy.prefill,
        prefill_window: trace.policy.prefill_window,
        heavy: trace.policy.heavy,
        recent: trace.policy.recent,
    }
}

fn problem_entry(dtype: Dtype, problem: &AttentionProblem) -> ProblemEntry {
    ProblemEntry {
        dtype,
        num_query_heads: problem.num_query_heads(),
        num_kv_heads: problem.num_kv_heads(),
        query_len: problem.query_len(),
        kv_len: problem.kv_len(),
        head_dim: problem.head_dim(),
        value_dim: problem.value_dim(),
        scale: problem.scale,
        mask: MaskEntry {
            causal: problem.mask.causal,
            sliding_window: problem.mask.sliding_window,
            explicit: problem.mask.explicit.is_some(),
            segments: problem.mask.segments.clone(),
        },
        softcap: problem.softcap,
        sink: problem.sinks.is_some(),
    }
}
