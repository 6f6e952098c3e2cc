//! The folder beside the output in which finished groups wait: what a run that was killed has done is not lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::part::{self, Label, Part};
use super::{Group, Plan, ScoringError};
use study::output::replace_file;

/// Name of the file whose lock says that a run is under way.
const LOCK: &str = "lock";

/// The open folder; no other run uses it meanwhile.
pub(super) struct PartsFolder {
    pub path: PathBuf,
    label: Label,
    finished: BTreeMap<Group, PathBuf>,
    _lock: File,
}

impl PartsFolder {
    /// `FILE.parts` for the output `FILE`.
    pub fn beside(out: &Path) -> PathBuf {
        let mut name = out.as_os_str().to_owned();
        name.push(".parts");
        name.into()
    }

    /// Opens the folder of an output, made where it is missing; one with parts of another plan is refused.
    pub fn open(out: &Path, plan: &Plan) -> Result<Self, ScoringError> {
        let path = Self::beside(out);
        std::fs::create_dir_all(&path).map_err(ScoringError::file(&path))?;
        let lock = lock(&path)?;
        let mut folder = Self {
            label: Label {
                plan: plan.clone(),
                shard: None,
            },
            finished: BTreeMap::new(),
            path,
            _lock: lock,
        };
        folder.take_stock()?;
        Ok(folder)
    }

    /// Finds the finished parts, and removes what a killed run left half-written.
    fn take_stock(&mut self) -> Result<(), ScoringError> {
        let entries = std::fs::read_dir(&self.path).map_err(ScoringError::file(&self.path))?;
        for entry in entries {
            let path = entry.map_err(ScoringError::file(&self.path))?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))
            {
                std::fs::remove_file(&path).map_err(ScoringError::file(&path))?;
            } else if path.extension().is_some_and(|kind| kind == "safetensors") {
                let part = Part::open(&path)?;
                if let Some(difference) = self.label.plan.difference(&part.label.plan) {
                    return Err(ScoringError::Refused(format!(
                        "{}: belongs to another run: {difference}; finish that run, or delete {} to start anew",
                        path.display(),
                        self.path.display()
                    )));
                }
                self.finished
                    .extend(part.groups.iter().map(|&group| (group, path.clone())));
            }
        }
        Ok(())
    }

    /// Which file holds each finished group.
    pub fn finished(&self) -> &BTreeMap<Group, PathBuf> {
        &self.finished
    }

    /// Keeps a finished group, whole or not at all.
    pub fn keep(&mut self, group: Group, columns: &[Array2<f64>]) -> Result<(), ScoringError> {
        let name = format!("layer-{}.kv-head-{}.safetensors", group.layer, group.kv_head);
        let path = self.path.join(name);
        replace_file(&path, &self.path, |file| {
            part::write_group(file, &self.label, group, columns)
        })
        .map_err(ScoringError::file(&path))?;
        self.finished.insert(group, path);
        Ok(())
    }

    /// Removes the parts, and the folder where nothing else is in it.
    pub fn remove(self) -> Result<(), ScoringError> {
        let lock = self.path.join(LOCK);
        let files: BTreeSet<&PathBuf> = self.finished.values().chain([&lock]).collect();
        for file in files {
            std::fs::remove_file(file).map_err(ScoringError::file(file))?;
        }
        match std::fs::remove_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(ScoringError::File {
                file: self.path,
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

/// Takes the folder's lock; a file system that has none is trusted.
fn lock(folder: &Path) -> Result<File, ScoringError> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(ScoringError::file(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(ScoringError::Refused(format!(
            "{}: another obcache score is writing here",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(ScoringError::File {
            file: path,
            source: error,
        }),
        _ => Ok(file),
    }
}
