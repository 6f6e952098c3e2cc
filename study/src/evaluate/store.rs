//! Finished documents are kept, one file each, until all are there: an interrupted evaluation goes on from them.

use std::path::{Path, PathBuf};

use super::error::EvaluateError;
use super::{EvaluationPlan, Results};
use crate::output::write_atomically;

/// The folder of the parts of one plan.
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens `out/parts`, which must hold parts of the same plan or nothing.
    pub fn open(out: &Path, plan: &EvaluationPlan) -> Result<Self, EvaluateError> {
        let folder = out.join("parts");
        let (path, text) = (folder.join("plan.json"), serde_json::to_vec_pretty(plan)?);
        match std::fs::read(&path) {
            Ok(found) if found == text => {}
            Ok(_) => return Err(EvaluateError::OtherPlan(folder.display().to_string())),
            Err(_) => write_atomically(&path, &text).map_err(|error| EvaluateError::file(&path, &error))?,
        }
        Ok(Self { folder })
    }

    fn path(&self, document: &str) -> PathBuf {
        self.folder.join(format!("document-{document}.json"))
    }

    /// What an earlier run found, if it finished this document; a damaged part counts as none.
    pub fn read(&self, document: &str) -> Option<Results> {
        let bytes = std::fs::read(self.path(document)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub fn write(&self, document: &str, results: &Results) -> Result<(), EvaluateError> {
        let path = self.path(document);
        write_atomically(&path, &serde_json::to_vec(results)?).map_err(|error| EvaluateError::file(&path, &error))
    }
}
