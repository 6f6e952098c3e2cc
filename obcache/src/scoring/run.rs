//! Scores a capture: finished groups are kept one by one, and joined when all are there.

use capture::CaptureFile;
use indicatif::ProgressBar;

use super::assembly::Assembly;
use super::compute::Computation;
use super::folder::PartsFolder;
use super::work::Work;
use super::{Group, Plan, Request, ScoringError};

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The plan that the file fulfils.
    pub plan: Plan,
    /// Groups that this run computed.
    pub computed: usize,
    /// Groups that were there from earlier runs.
    pub kept: usize,
}

/// Scores a capture into a file; `progress` counts blocks of queries.
///
/// A run that ends early keeps its finished groups in the folder `OUT.parts`, and the same request goes on from there. A
/// file that already holds what is asked for is left as it is. When `interrupted` says so, groups under way are given
/// up; their threads end with the group or with the process.
///
/// # Errors
/// [`ScoringError`]; the output is then as it was.
pub fn run(request: &Request, progress: &ProgressBar, interrupted: &dyn Fn() -> bool) -> Result<Outcome, ScoringError> {
    let capture = CaptureFile::open(&request.capture)?;
    let plan = request.plan(&capture)?;
    let groups = request.share(&plan)?;
    let computation = Computation::new(capture, request.window, request.heads, plan.precision);
    let layout = request.layout(&plan, &computation, groups.len())?;
    let assembly = match request.shard {
        Some(shard) => Assembly::shard(&plan, shard),
        None => Assembly::whole(&plan),
    };
    let assembly = assembly.map_err(ScoringError::file(&request.out))?;
    if assembly.is_written(&request.out) {
        let (computed, kept) = (0, groups.len());
        return Ok(Outcome { plan, computed, kept });
    }
    request.spare_other_shards(&plan)?;
    let mut folder = PartsFolder::open(&request.out, &plan)?;
    let missing = |group: &Group| !folder.finished().contains_key(group);
    let todo: Vec<Group> = groups.iter().copied().filter(missing).collect();
    let computed = todo.len();
    progress.set_length(blocks(&plan, &computation, &todo));
    let work = Work {
        computation,
        groups: todo,
        layout,
        progress: progress.clone(),
    };
    let finished = work
        .run(interrupted, |group, columns| folder.keep(group, columns))
        .and_then(|()| assembly.write(&request.out, &folder.path, folder.finished(), interrupted));
    finished.map_err(|error| match error {
        ScoringError::Interrupted => ScoringError::Unfinished {
            done: groups
                .iter()
                .filter(|group| folder.finished().contains_key(group))
                .count(),
            all: groups.len(),
            folder: folder.path.clone(),
        },
        error => error,
    })?;
    folder.remove()?;
    let kept = groups.len() - computed;
    Ok(Outcome { plan, computed, kept })
}

/// Blocks of queries in these groups.
fn blocks(plan: &Plan, computation: &Computation, groups: &[Group]) -> u64 {
    let layers = plan.layers.iter().map(|layer| {
        let count = groups.iter().filter(|group| group.layer == layer.layer).count();
        if count == 0 {
            0
        } else {
            count * computation.blocks(layer)
        }
    });
    layers.sum::<usize>() as u64
}
