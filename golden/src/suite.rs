//! The suite as a reader finds it: every digest checked, every problem whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::entry::{read_case, read_trace};
use crate::manifest::{FileEntry, Manifest};
use crate::tensors::Tensors;
use crate::{Case, DecodeTrace, SuiteError};

/// The golden suite, read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// Semantic version.
    pub version: String,
    /// The bug that each flag stands for.
    pub flags: BTreeMap<String, String>,
    /// The cases, in the manifest's order.
    pub cases: Vec<Case>,
    /// The decode traces, in the manifest's order.
    pub decode_traces: Vec<DecodeTrace>,
}

impl Suite {
    /// Reads `manifest.json` and the tensor files beside it from `folder`.
    ///
    /// # Errors
    /// [`SuiteError`] where a file is missing, damaged or has another digest, the manifest does not follow its schema, or
    /// a tensor is missing or not what the manifest says.
    pub fn read(folder: &Path) -> Result<Self, SuiteError> {
        let path = folder.join("manifest.json");
        let manifest_error = |reason| SuiteError::Manifest {
            file: path.clone(),
            reason,
        };
        let manifest: Manifest =
            serde_json::from_slice(&read(&path)?).map_err(|error| manifest_error(error.to_string()))?;
        check(&manifest).map_err(manifest_error)?;
        let mut cases = BTreeMap::new();
        let mut decode_traces = BTreeMap::new();
        for entry in &manifest.files {
            let file = folder.join(&entry.name);
            let bytes = verified(&file, entry)?;
            let tensors = Tensors::new(&file, &bytes)?;
            for (index, case) in manifest.cases.iter().enumerate().filter(|(_, c)| c.file == entry.name) {
                cases.insert(index, read_case(&tensors, case).map_err(|error| error.at(&path))?);
            }
            let traces = manifest.decode_traces.iter().enumerate();
            for (index, trace) in traces.filter(|(_, t)| t.file == entry.name) {
                decode_traces.insert(index, read_trace(&tensors, trace).map_err(|error| error.at(&path))?);
            }
        }
        Ok(Self {
            version: manifest.version,
            flags: manifest.flags,
            cases: cases.into_values().collect(),
            decode_traces: decode_traces.into_values().collect(),
        })
    }
}

/// What no schema says: names that must be unique, and names that must exist.
fn check(manifest: &Manifest) -> Result<(), String> {
    if manifest.suite != "obcache-golden" {
        return Err(format!("suite is {:?}, expected \"obcache-golden\"", manifest.suite));
    }
    let files: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    let cases = manifest.cases.iter().map(|case| (&case.id, &case.file, &case.flags));
    let traces = manifest
        .decode_traces
        .iter()
        .map(|trace| (&trace.id, &trace.file, &trace.flags));
    let mut ids = BTreeSet::new();
    for (id, file, flags) in cases.chain(traces) {
        if !ids.insert(id) {
            return Err(format!("{id} is there twice"));
        }
        if !files.contains(file.as_str()) {
            return Err(format!("{id}: its file {file:?} is not listed"));
        }
        if let Some(flag) = flags.iter().find(|flag| !manifest.flags.contains_key(*flag)) {
            return Err(format!("{id}: its flag {flag:?} is not listed"));
        }
    }
    Ok(())
}

/// The lower-case hexadecimal SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(file: &Path) -> Result<Vec<u8>, SuiteError> {
    std::fs::read(file).map_err(|source| SuiteError::Read {
        file: file.to_owned(),
        source,
    })
}

fn verified(file: &Path, entry: &FileEntry) -> Result<Vec<u8>, SuiteError> {
    let bytes = read(file)?;
    let found = sha256(&bytes);
    if found == entry.sha256 {
        return Ok(bytes);
    }
    Err(SuiteError::Digest {
        file: file.to_owned(),
        found,
        expected: entry.sha256.clone(),
    })
}
