//! What is asked for, checked against the capture.

use std::num::NonZero;
use std::path::PathBuf;

use capture::CaptureFile;
use obd_core::QueryWindow;

use super::compute::Computation;
use super::digest::sha256;
use super::layout::Layout;
use super::part::Part;
use super::plan::PlannedLayer;
use super::{Group, Heads, Plan, Precision, ScoringError, Shard};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The capture.
    pub capture: PathBuf,
    /// The file that is written.
    pub out: PathBuf,
    /// Queries that are summed over.
    pub window: QueryWindow,
    /// What becomes of the query heads that read one KV head.
    pub heads: Heads,
    /// Arithmetic; without, 32 bits, and 64 where the capture is stored in more than 32 or has a soft-cap.
    pub precision: Option<Precision>,
    /// Layers by their index in the model; all without.
    pub layers: Option<Vec<usize>>,
    /// The share that is computed, and written as a part; without, all is computed and written as the whole.
    pub shard: Option<Shard>,
    /// Bytes that may be taken. Moves no bit of the result.
    pub memory: u64,
    /// Threads. Moves no bit of the result.
    pub threads: NonZero<usize>,
}

impl Request {
    pub(super) fn plan(&self, capture: &CaptureFile) -> Result<Plan, ScoringError> {
        let name = self.capture.file_stem();
        let name = name.ok_or_else(|| self.refused("has no name, expected that of a file".to_owned()))?;
        let (version, obcache) = Plan::versions();
        let metadata = capture.metadata();
        let plan = Plan {
            version,
            obcache,
            capture: name.to_string_lossy().into_owned(),
            capture_sha256: sha256(&self.capture).map_err(ScoringError::file(&self.capture))?,
            model: metadata.model.clone(),
            window: self.window.to_string(),
            heads: self.heads,
            precision: self.precision(capture)?,
            num_query_heads: metadata.num_query_heads,
            num_kv_heads: metadata.num_kv_heads,
            layers: self.layers(capture)?,
        };
        plan.check().map_err(|reason| self.refused(reason))?;
        Ok(plan)
    }

    /// No arithmetic may round what the capture stores.
    fn precision(&self, capture: &CaptureFile) -> Result<Precision, ScoringError> {
        // Traces, which are kept for a soft-cap, are in 64 bits.
        let narrow = capture.fits_f32() && capture.metadata().softcap.is_none();
        let least = if narrow { Precision::F32 } else { Precision::F64 };
        match self.precision {
            Some(Precision::F32) if least == Precision::F64 => Err(self.refused(
                "is stored in 64 bits or has a soft-cap, which --precision f32 does not take, expected f64".to_owned(),
            )),
            asked => Ok(asked.unwrap_or(least)),
        }
    }

    fn layers(&self, capture: &CaptureFile) -> Result<Vec<PlannedLayer>, ScoringError> {
        let all: Vec<PlannedLayer> = capture.layers().map(PlannedLayer::from).collect();
        let Some(asked) = &self.layers else {
            return Ok(all);
        };
        let known = |index: &usize| all.iter().any(|layer| layer.layer == *index);
        if let Some(index) = asked.iter().find(|index| !known(index)) {
            let indices: Vec<String> = all.iter().map(|layer| layer.layer.to_string()).collect();
            return Err(self.refused(format!("has no layer {index}, expected some of {}", indices.join(", "))));
        }
        Ok(all.into_iter().filter(|layer| asked.contains(&layer.layer)).collect())
    }

    /// The groups that this run is to compute.
    pub(super) fn share(&self, plan: &Plan) -> Result<Vec<Group>, ScoringError> {
        let all = plan.groups();
        let shard = self.shard.unwrap_or(Shard::WHOLE);
        let share = all[shard.tasks(all.len())].to_vec();
        if share.is_empty() {
            let count = all.len();
            return Err(self.refused(format!(
                "has {count} KV heads to score, too few for --shard {shard}, expected at most {count} shards"
            )));
        }
        Ok(share)
    }

    pub(super) fn layout(&self, plan: &Plan, computation: &Computation, tasks: usize) -> Result<Layout, ScoringError> {
        let memory = |layer: &&PlannedLayer| computation.memory(layer);
        let Some(largest) = plan.layers.iter().max_by_key(memory) else {
            return Err(self.refused("has no layer".to_owned()));
        };
        let layout = computation.layout(largest, self.threads.get(), tasks, self.memory);
        layout.map_err(|needed| ScoringError::Memory {
            file: self.capture.clone(),
            layer: largest.layer,
            needed,
            allowed: self.memory,
            advice: computation.advice(),
        })
    }

    /// An output that holds another shard of the same plan is not replaced.
    pub(super) fn spare_other_shards(&self, plan: &Plan) -> Result<(), ScoringError> {
        match Part::open(&self.out) {
            Ok(part) if part.label.plan == *plan => {
                let found = part
                    .label
                    .shard
                    .map_or("a part".to_owned(), |shard| format!("shard {shard}"));
                Err(ScoringError::Refused(format!(
                    "{}: holds {found} of this run, expected another --out for each shard",
                    self.out.display()
                )))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, reason: String) -> ScoringError {
        ScoringError::Refused(format!("{}: {reason}", self.capture.display()))
    }
}
