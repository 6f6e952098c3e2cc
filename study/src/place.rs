//! A KV head of a model.

use serde::Serialize;

/// A KV head of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Layer of the model.
    pub layer: usize,
    /// KV head of the layer.
    pub kv_head: usize,
}
