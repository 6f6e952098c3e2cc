//! Joins parts to the bytes that an unsplit run writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::assembly::Assembly;
use super::part::Part;
use super::{Group, Plan, ScoringError, Shard};

/// Missing groups that a refusal names.
const NAMED: usize = 8;

/// Joins the parts of one plan into the whole of it.
///
/// # Errors
/// [`ScoringError::Refused`] where they are of different plans, two hold the same group, or a group is missing;
/// [`ScoringError::File`] where one cannot be read or `out` not be written, which then is as it was.
pub fn merge(parts: &[PathBuf], out: &Path, interrupted: &dyn Fn() -> bool) -> Result<Plan, ScoringError> {
    let parts: Vec<Part> = parts.iter().map(|path| Part::open(path)).collect::<Result<_, _>>()?;
    let Some((first, others)) = parts.split_first() else {
        return Err(ScoringError::Refused(
            "no part is named, expected those of all shards".to_owned(),
        ));
    };
    for other in others {
        if let Some(difference) = first.label.plan.difference(&other.label.plan) {
            return Err(ScoringError::Refused(format!(
                "{}: does not belong to {}: {difference}",
                other.path.display(),
                first.path.display()
            )));
        }
    }
    let files = files(&parts)?;
    let plan = &first.label.plan;
    check_whole(plan, &parts, &files)?;
    let assembly = Assembly::whole(plan).map_err(ScoringError::file(out))?;
    let folder = out.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).map_err(ScoringError::file(folder))?;
    assembly.write(out, folder, &files, interrupted)?;
    Ok(plan.clone())
}

/// Which file holds each group.
fn files(parts: &[Part]) -> Result<BTreeMap<Group, PathBuf>, ScoringError> {
    let mut files: BTreeMap<Group, PathBuf> = BTreeMap::new();
    for part in parts {
        for &group in &part.groups {
            if let Some(other) = files.insert(group, part.path.clone()) {
                return Err(ScoringError::Refused(format!(
                    "{}: holds {group}, which {} holds too, expected each once",
                    part.path.display(),
                    other.display()
                )));
            }
        }
    }
    Ok(files)
}

fn check_whole(plan: &Plan, parts: &[Part], files: &BTreeMap<Group, PathBuf>) -> Result<(), ScoringError> {
    let missing: Vec<Group> = plan
        .groups()
        .into_iter()
        .filter(|group| !files.contains_key(group))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = missing.iter().take(NAMED).map(Group::to_string).collect();
    if missing.len() > NAMED {
        names.push(format!("and {} more", missing.len() - NAMED));
    }
    let shards = match missing_shards(parts).as_slice() {
        [] => String::new(),
        shards => format!(
            " (shard {})",
            shards.iter().map(Shard::to_string).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(ScoringError::Refused(format!(
        "no part holds {}{shards}",
        names.join("; ")
    )))
}

/// The shards that are not there, where all parts are shards of one split.
fn missing_shards(parts: &[Part]) -> Vec<Shard> {
    let present: Option<Vec<Shard>> = parts.iter().map(|part| part.label.shard).collect();
    let Some(present) = present else {
        return Vec::new();
    };
    let Some(first) = present.first() else {
        return Vec::new();
    };
    let all: Vec<Shard> = first.siblings().collect();
    if present.iter().any(|shard| !all.contains(shard)) {
        return Vec::new();
    }
    all.into_iter().filter(|shard| !present.contains(shard)).collect()
}
