//! From parts to one file: the whole of a plan, or one shard of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use capture::SafetensorsFile;

use super::part::{self, Label};
use super::stream::{Header, Tensor};
use super::{Column, Group, Plan, ScoringError, Shard};
use study::output::replace_file;

/// Metadata key of the whole.
pub(super) const KEY: &str = "obcache_scores";

/// A file that parts are copied into.
pub(super) struct Assembly {
    header: Header,
    key: &'static str,
    /// What is copied after the header, in order.
    pieces: Vec<(Group, Column)>,
}

impl Assembly {
    /// All groups of a plan: tensors `layer.L.COLUMN`, the rows of the KV heads one below the other.
    pub fn whole(plan: &Plan) -> io::Result<Self> {
        let (mut tensors, mut pieces) = (Vec::new(), Vec::new());
        for layer in &plan.layers {
            for column in Column::all() {
                tensors.push(Tensor {
                    name: format!("layer.{}.{}", layer.layer, column.name()),
                    shape: [plan.num_kv_heads * plan.rows(), layer.kv_len],
                });
                let group = |kv_head| Group {
                    layer: layer.layer,
                    kv_head,
                };
                pieces.extend((0..plan.num_kv_heads).map(|kv_head| (group(kv_head), column)));
            }
        }
        Ok(Self {
            header: Header::new(KEY, plan, tensors)?,
            key: KEY,
            pieces,
        })
    }

    /// The groups of one shard, as a part.
    pub fn shard(plan: &Plan, shard: Shard) -> io::Result<Self> {
        let all = plan.groups();
        let groups = &all[shard.tasks(all.len())];
        let label = Label {
            plan: plan.clone(),
            shard: Some(shard),
        };
        let pieces = groups
            .iter()
            .flat_map(|&group| Column::all().map(move |column| (group, column)));
        Ok(Self {
            header: part::header(&label, groups)?,
            key: part::KEY,
            pieces: pieces.collect(),
        })
    }

    /// Whether `file` is this assembly, written before.
    pub fn is_written(&self, file: &Path) -> bool {
        SafetensorsFile::open(file).is_ok_and(|found| found.text(self.key) == self.header.entry())
    }

    /// Writes `out` whole or not at all; temporary files lie in `scratch`, `parts` says which file holds a group.
    pub fn write(
        &self,
        out: &Path,
        scratch: &Path,
        parts: &BTreeMap<Group, PathBuf>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), ScoringError> {
        let mut stopped = false;
        let written = replace_file(out, scratch, |file| {
            self.header.write(file)?;
            let mut open: Option<(&Path, SafetensorsFile)> = None;
            for &(group, column) in &self.pieces {
                stopped = interrupted();
                if stopped {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                copy(&mut open, &parts[&group], &part::tensor_name(group, column), file)?;
            }
            Ok(())
        });
        match written {
            Err(_) if stopped => Err(ScoringError::Interrupted),
            written => written.map_err(ScoringError::file(out)),
        }
    }
}

/// Copies a tensor of the file at `path`; the last file stays open.
fn copy<'a>(
    open: &mut Option<(&'a Path, SafetensorsFile)>,
    path: &'a Path,
    name: &str,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut file = match open.take() {
        Some((other, file)) if other == path => file,
        _ => SafetensorsFile::open(path).map_err(io::Error::other)?,
    };
    file.copy(name, to)?;
    *open = Some((path, file));
    Ok(())
}
