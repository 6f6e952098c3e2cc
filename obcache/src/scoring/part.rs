//! A part: the scores of some groups of a plan, in a file of its own.
//!
//! Tensors are named `layer.L.kv-head.G.COLUMN`. What a run keeps beside its output is one part a group; what a shard
//! writes is one part with all of its groups.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use capture::SafetensorsFile;
use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::stream::{Header, Tensor};
use super::{Column, Group, Plan, ScoringError, Shard};

/// Metadata key of a part.
pub(super) const KEY: &str = "obcache_scores_part";

/// What a part says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Label {
    pub plan: Plan,
    /// The shard that it is the whole of.
    pub shard: Option<Shard>,
}

/// A part whose header was found in order.
pub(super) struct Part {
    pub path: PathBuf,
    pub label: Label,
    pub groups: Vec<Group>,
}

/// Name of a tensor in a part.
pub(super) fn tensor_name(group: Group, column: Column) -> String {
    format!("layer.{}.kv-head.{}.{}", group.layer, group.kv_head, column.name())
}

/// Header of a part that holds `groups`.
pub(super) fn header(label: &Label, groups: &[Group]) -> io::Result<Header> {
    let tensors = groups.iter().flat_map(|&group| {
        Column::all().map(move |column| Tensor {
            name: tensor_name(group, column),
            shape: shape(&label.plan, group),
        })
    });
    Header::new(KEY, label, tensors.collect())
}

/// Writes the columns of one group after their header.
pub(super) fn write_group(to: &mut impl Write, label: &Label, group: Group, columns: &[Array2<f64>]) -> io::Result<()> {
    header(label, &[group])?.write(to)?;
    for number in columns.iter().flatten() {
        to.write_all(&number.to_le_bytes())?;
    }
    Ok(())
}

fn shape(plan: &Plan, group: Group) -> [usize; 2] {
    let layer = plan.layers.iter().find(|layer| layer.layer == group.layer);
    [plan.rows(), layer.expect("a group is of a layer of its plan").kv_len]
}

impl Part {
    /// Opens a part and checks that it holds whole groups of its plan and nothing else.
    pub fn open(path: &Path) -> Result<Self, ScoringError> {
        let refused = |reason: String| ScoringError::Refused(format!("{}: {reason}", path.display()));
        let file = SafetensorsFile::open(path)?;
        let label = file
            .text(KEY)
            .ok_or_else(|| refused(format!("no metadata {KEY}, expected a file of obcache score --shard")))?;
        let label: Label = serde_json::from_str(label).map_err(|error| refused(format!("metadata {KEY}: {error}")))?;
        label
            .plan
            .check()
            .map_err(|reason| refused(format!("metadata {KEY}: {reason}")))?;
        let names: BTreeSet<String> = file.names().into_iter().collect();
        let groups: Vec<Group> = label
            .plan
            .groups()
            .into_iter()
            .filter(|&group| Column::all().any(|column| names.contains(&tensor_name(group, column))))
            .collect();
        for &group in &groups {
            for column in Column::all() {
                let (name, shape) = (tensor_name(group, column), shape(&label.plan, group));
                match file.tensor(&name) {
                    Some((Dtype::F64, found)) if found == shape => {}
                    Some((dtype, found)) => {
                        return Err(refused(format!("{name}: {dtype:?} {found:?}, expected F64 {shape:?}")));
                    }
                    None => return Err(refused(format!("{name}: is missing"))),
                }
            }
        }
        if names.len() != groups.len() * Column::all().count() {
            return Err(refused("holds tensors that are no part of its plan".to_owned()));
        }
        Ok(Self {
            path: path.to_path_buf(),
            label,
            groups,
        })
    }
}
