//! The only writer of the golden suite.
//!
//! ```text
//! seeded random numbers → rounded to f32, f16 or bf16 → definitions over balls and intervals → certified f64 → files
//! ```

pub mod catches;
mod certify;
mod conditioning;
mod decode;
mod definition;
mod differences;
mod draft;
mod families;
mod flags;
mod lines;
mod manifest;
mod numbers;
mod reduction;
pub mod tables;
pub mod tightness;
mod write;

use std::path::Path;

use capture::CaptureError;
use golden::{Case, DecodeTrace, Output};
use indicatif::ProgressBar;
use rayon::prelude::*;
use thiserror::Error;

pub use certify::{TruthError, truth};
pub use differences::differences;
use draft::Draft;
pub use manifest::VERSION;

/// Why the suite cannot be made.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// A case's answers cannot be had.
    #[error("{case}: {source}")]
    Truth {
        /// The case.
        case: String,
        /// Why.
        source: TruthError,
    },
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// The name and the bytes of each file of the default suite; `captures` is the folder of the shipped captures.
///
/// # Errors
/// [`GenerateError`] where a capture cannot be read or a number cannot be certified.
pub fn generate(captures: &Path, progress: &ProgressBar) -> Result<Vec<(String, Vec<u8>)>, GenerateError> {
    let mut drafts = families::all();
    drafts.extend(families::captured(captures)?);
    let cases = cases(&drafts, progress)?;
    let traces = decode::all().par_iter().map(trace).collect::<Result<Vec<_>, _>>()?;
    files(&cases, &traces)
}

/// The files of the long case, which is a suite of its own.
///
/// # Errors
/// [`GenerateError`] where a number cannot be certified.
pub fn generate_long(progress: &ProgressBar) -> Result<Vec<(String, Vec<u8>)>, GenerateError> {
    files(&cases(&families::long(), progress)?, &[])
}

fn files(cases: &[Case], traces: &[DecodeTrace]) -> Result<Vec<(String, Vec<u8>)>, GenerateError> {
    write::files(cases, traces).map_err(|source| GenerateError::Truth {
        case: "the suite".to_owned(),
        source,
    })
}

fn cases(drafts: &[Draft], progress: &ProgressBar) -> Result<Vec<Case>, GenerateError> {
    progress.set_length(drafts.len() as u64);
    let one = |draft: &Draft| case(draft).inspect(|_| progress.inc(1));
    drafts.par_iter().map(one).collect()
}

fn case(draft: &Draft) -> Result<Case, GenerateError> {
    let truths = truth(&draft.problem, &draft.outputs).map_err(|source| GenerateError::Truth {
        case: draft.id(),
        source,
    })?;
    let mut flags: Vec<String> = draft.flags.iter().map(|&flag| flag.to_owned()).collect();
    flags.sort();
    flags.dedup();
    Ok(Case {
        id: draft.id(),
        family: draft.family.to_owned(),
        comment: draft.comment.clone(),
        flags,
        dtype: draft.dtype,
        problem: draft.problem.clone(),
        outputs: (draft.outputs.iter().zip(truths))
            .map(|(&spec, truth)| Output { spec, truth })
            .collect(),
        twin: draft.twin.clone(),
    })
}

fn trace(draft: &decode::DecodeDraft) -> Result<DecodeTrace, GenerateError> {
    decode::trace(draft).map_err(|source| GenerateError::Truth {
        case: draft.draft.id(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cases_and_outputs_have_names_of_their_own_and_known_flags() {
        let known: BTreeSet<&str> = flags::FLAGS.iter().map(|(flag, _)| *flag).collect();
        let mut used = BTreeSet::new();
        let mut names = BTreeSet::new();
        let traces = decode::all().into_iter().map(|trace| trace.draft);
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
        let drafts = families::all()
            .into_iter()
            .chain(families::captured(&captures).unwrap());
        for draft in drafts.chain(families::long()).chain(traces) {
            assert!(names.insert(draft.id()), "{} twice", draft.id());
            let outputs: BTreeSet<String> = draft.outputs.iter().map(ToString::to_string).collect();
            assert_eq!(outputs.len(), draft.outputs.len(), "{}", draft.id());
            assert!(!draft.comment.is_empty() && !draft.flags.is_empty(), "{}", draft.id());
            used.extend(draft.flags);
        }
        assert_eq!(used, known);
    }
}
