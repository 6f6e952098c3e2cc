//! What is computed, of which capture, by which version: equal plans give equal bytes.

use std::fmt;

use capture::LayerShape;
use clap::ValueEnum;
use obd_core::HeadGroups;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Heads;

/// Version of the format that [`Plan`] heads.
const VERSION: u64 = 1;

/// Groups that a plan may have: more than the header of one file has room to name.
const LARGEST: usize = 1 << 20;

/// The description that every file of scores carries. How the work is laid out (threads, memory, shards) is no part of
/// it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the format; 1.
    pub version: u64,
    /// Version of the command that computed.
    pub obcache: String,
    /// File name of the capture without its extension.
    pub capture: String,
    /// SHA-256 of the capture file, as `sha256sum` prints it.
    pub capture_sha256: String,
    /// Name of the model, as the capture has it.
    pub model: String,
    /// Query window that is summed over: `all`, `last-32`.
    pub window: String,
    /// Whether rows are query heads, or KV heads whose query heads are joined.
    pub heads: Heads,
    /// Arithmetic: `f32` or `f64`. What is written is f64 either way.
    pub precision: Precision,
    /// Query heads of a layer.
    pub num_query_heads: usize,
    /// KV heads of a layer.
    pub num_kv_heads: usize,
    /// The layers, ascending.
    pub layers: Vec<PlannedLayer>,
}

/// Arithmetic that the scores are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits; refused where the capture is stored in more.
    F32,
    /// 64 bits; about half as fast.
    F64,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// A layer of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedLayer {
    /// Index of the layer in the model.
    pub layer: usize,
    /// Queries of a head.
    pub query_len: usize,
    /// Cached tokens.
    pub kv_len: usize,
}

impl From<LayerShape> for PlannedLayer {
    fn from(shape: LayerShape) -> Self {
        Self {
            layer: shape.index,
            query_len: shape.query_len,
            kv_len: shape.kv_len,
        }
    }
}

/// The query heads of one KV head in one layer: what is computed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Index of the layer in the model.
    pub layer: usize,
    /// Which KV head.
    pub kv_head: usize,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}, KV head {}", self.layer, self.kv_head)
    }
}

impl Plan {
    /// The versions that this build writes: of the format and of the command.
    pub(super) fn versions() -> (u64, String) {
        (VERSION, env!("CARGO_PKG_VERSION").to_owned())
    }

    /// Refuses a plan that this build does not write: one that came from a damaged or hostile file.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("version is {}, expected {VERSION}", self.version));
        }
        HeadGroups::new(self.num_query_heads, self.num_kv_heads).map_err(|error| error.to_string())?;
        let groups = self.layers.len().checked_mul(self.num_kv_heads);
        if groups.is_none_or(|groups| groups > LARGEST) {
            return Err(format!(
                "{} layers of {} KV heads, expected at most {LARGEST} in all",
                self.layers.len(),
                self.num_kv_heads
            ));
        }
        if !self.layers.is_sorted_by(|one, next| one.layer < next.layer) {
            return Err("layers are not in ascending order".to_owned());
        }
        Ok(())
    }

    /// All groups: KV heads within layers.
    pub fn groups(&self) -> Vec<Group> {
        let kv_heads = |layer: &PlannedLayer| {
            let layer = layer.layer;
            (0..self.num_kv_heads).map(move |kv_head| Group { layer, kv_head })
        };
        self.layers.iter().flat_map(kv_heads).collect()
    }

    /// Rows that a group gives to each tensor.
    pub fn rows(&self) -> usize {
        match self.heads {
            Heads::Each => self.num_query_heads / self.num_kv_heads,
            _ => 1,
        }
    }

    /// What `other` has otherwise, as a sentence; `None` where nothing is.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let fields = |plan| serde_json::to_value(plan).expect("a plan is numbers and text");
        let (ours, theirs) = (fields(self), fields(other));
        let differing = ours.as_object()?.iter().find(|(name, ours)| theirs[*name] != **ours);
        differing.map(|(name, ours)| match (ours, &theirs[name]) {
            (Value::Array(_), _) => format!("its {name} differ"),
            (ours, theirs) => format!("its {name} is {theirs}, expected {ours}"),
        })
    }
}
