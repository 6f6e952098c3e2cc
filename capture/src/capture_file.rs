//! An open capture, of which one KV head at a time is in memory.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3, ShapeError};
use obd_core::{HeadGroups, QueryWindow};

use crate::container::{Container, ReadError, numbers, refused};
use crate::layout::LayerLayout;
use crate::parts::CaptureParts;
use crate::{CaptureError, Metadata};

/// An open capture whose headers are checked; numbers are read when they are asked for.
///
/// Unlike [`Capture`](crate::Capture) it may hold more numbers than [`LARGEST_CAPTURE`](crate::LARGEST_CAPTURE), and can be
/// read from several threads, one at a time. From an npz file every read starts at the beginning of its array.
pub struct CaptureFile {
    path: PathBuf,
    metadata: Metadata,
    groups: HeadGroups,
    layers: Vec<LayerLayout>,
    container: Mutex<Box<dyn Container>>,
}

/// The lengths of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// Index of the layer in the model.
    pub index: usize,
    /// Queries of a head.
    pub query_len: usize,
    /// Cached tokens.
    pub kv_len: usize,
}

/// One KV head and the query heads that read it.
///
/// | field | shape |
/// |---|---|
/// | `query` | (group_size, window_len, head_dim) |
/// | `key` | (kv_len, head_dim) |
/// | `value` | (kv_len, value_dim) |
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTensors<T> {
    /// Queries of the window that was asked for, after position encoding. The last one sees the last token, so they are
    /// a problem of their own.
    pub query: Array3<T>,
    /// Keys as they stand in the cache.
    pub key: Array2<T>,
    /// Values.
    pub value: Array2<T>,
}

impl CaptureFile {
    /// Opens a `.safetensors` or `.npz` file and checks everything but its numbers.
    ///
    /// # Errors
    /// [`CaptureError`] for anything that is not a whole, consistent capture of at least one layer.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let parts = CaptureParts::open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            metadata: parts.metadata,
            groups: parts.groups,
            layers: parts.layers,
            container: Mutex::new(parts.container),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the capture says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// How the query heads share the KV heads.
    pub fn groups(&self) -> HeadGroups {
        self.groups
    }

    /// The layers, ascending.
    pub fn layers(&self) -> impl Iterator<Item = LayerShape> {
        self.layers.iter().map(|layer| LayerShape {
            index: layer.index,
            query_len: layer.query[1],
            kv_len: layer.key[1],
        })
    }

    /// Whether 32 bits hold every query, key and value as it is stored.
    pub fn fits_f32(&self) -> bool {
        self.layers.iter().all(|layer| layer.fits_f32)
    }

    /// Reads one KV head of the layer with this index and the queries of a window that read it, each number through
    /// `number`, which gets it widened to 64 bits. Beyond what it returns it takes some hundred kilobytes.
    ///
    /// # Errors
    /// [`CaptureError`] where there is no such layer or head, or a number is not finite or too large to square.
    pub fn group<T>(
        &self,
        layer: usize,
        kv_head: usize,
        window: QueryWindow,
        number: impl Fn(f64) -> T,
    ) -> Result<GroupTensors<T>, CaptureError> {
        let read = self.read(layer, kv_head, window, number);
        read.map_err(|error| CaptureError::reading(&self.path, error))
    }

    fn read<T>(
        &self,
        layer: usize,
        kv_head: usize,
        window: QueryWindow,
        number: impl Fn(f64) -> T,
    ) -> Result<GroupTensors<T>, ReadError> {
        let found = self.layers.iter().find(|found| found.index == layer);
        let found = found.ok_or_else(|| refused(&format!("layer.{layer}.query"), "is missing"))?;
        if kv_head >= self.groups.num_kv_heads() {
            let heads = self.groups.num_kv_heads();
            let reason = format!("has no KV head {kv_head}, expected one below {heads}");
            return Err(refused(&format!("layer.{layer}.key"), reason));
        }
        let mut container = self.container.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = |part: &str, shape: [usize; 3], head: usize, rows: Range<usize>| {
            let [_, tokens, channels] = shape;
            let row = |row: usize| (head * tokens + row) * channels;
            let (name, range) = (format!("layer.{layer}.{part}"), row(rows.start)..row(rows.end));
            numbers(&mut **container, &name, &shape, range, &number)
        };
        let ([_, query_len, head_dim], [_, kv_len, value_dim]) = (found.query, found.value);
        let (heads, queries) = (self.groups.query_heads(kv_head), window.queries(query_len));
        let query_shape = (heads.len(), queries.len(), head_dim);
        let mut query = Vec::new();
        for head in heads {
            query.append(&mut rows("query", found.query, head, queries.clone())?);
        }
        let key = rows("key", found.key, kv_head, 0..kv_len)?;
        let value = rows("value", found.value, kv_head, 0..kv_len)?;
        let misshapen = |error: ShapeError| refused(&format!("layer.{layer}"), error.to_string());
        Ok(GroupTensors {
            query: Array3::from_shape_vec(query_shape, query).map_err(misshapen)?,
            key: Array2::from_shape_vec((kv_len, head_dim), key).map_err(misshapen)?,
            value: Array2::from_shape_vec((kv_len, value_dim), value).map_err(misshapen)?,
        })
    }
}
