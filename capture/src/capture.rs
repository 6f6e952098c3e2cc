//! A capture: the attention problems of one document in some layers of a model.

use std::path::{Path, PathBuf};

use ndarray::{Array, Array2, Array3, Axis, Dimension, IntoDimension};
use obd_core::{Head, HeadGroups, ProblemError};

use crate::container::{Container, ReadError, count, numbers, refused};
use crate::layout::{self, LayerLayout};
use crate::parts::CaptureParts;
use crate::{CaptureError, Metadata};

/// Queries, keys and values of one layer.
///
/// | field | shape |
/// |---|---|
/// | `query` | (num_query_heads, query_len, head_dim) |
/// | `key` | (num_kv_heads, kv_len, head_dim) |
/// | `value` | (num_kv_heads, kv_len, value_dim) |
/// | `o_proj` | (hidden, num_query_heads · value_dim) |
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Index of the layer in the model.
    pub index: usize,
    /// Queries after position encoding.
    pub query: Array3<f64>,
    /// Keys as they stand in the cache.
    pub key: Array3<f64>,
    /// Values.
    pub value: Array3<f64>,
    /// Output projection, where the file holds it.
    pub o_proj: Option<Array2<f64>>,
    /// Dtype that the queries were stored in.
    pub dtype: String,
}

/// A checked capture file.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    path: PathBuf,
    metadata: Metadata,
    groups: HeadGroups,
    layers: Vec<Layer>,
    tokens: Option<Vec<i64>>,
}

impl Capture {
    /// Reads and checks a `.safetensors` or `.npz` file; names, dtypes and shapes before any number.
    ///
    /// # Errors
    /// [`CaptureError`] for anything that is not a whole, consistent, finite capture of at least one layer, or that holds
    /// more than [`LARGEST_CAPTURE`](crate::LARGEST_CAPTURE) numbers.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError::reading(path, error);
        let CaptureParts {
            mut container,
            metadata,
            groups,
            headers,
            layers,
        } = CaptureParts::open(path)?;
        layout::check_size(&headers).map_err(failed)?;
        let layers = layers.into_iter().map(|layout| layer(&mut *container, layout));
        let layers = layers.collect::<Result<_, _>>().map_err(failed)?;
        let tokens = match headers.get("tokens") {
            Some(header) => Some(all_numbers(&mut *container, "tokens", &header.shape).map_err(failed)?),
            None => None,
        };
        let capture = Self {
            path: path.to_path_buf(),
            metadata,
            groups,
            layers,
            tokens: tokens.map(|ids| ids.into_iter().map(|id| id as i64).collect()),
        };
        capture.check_heads()?;
        Ok(capture)
    }

    /// Every head is a problem: what [`Head::new`] refuses is refused when the file is read.
    fn check_heads(&self) -> Result<(), CaptureError> {
        for position in 0..self.layers.len() {
            for head in 0..self.groups.num_query_heads() {
                self.head(position, head)?;
            }
        }
        Ok(())
    }

    /// File name without its extension; empty for a capture that was made in memory under no path.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
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
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Token ids, where the file holds them, length kv_len.
    pub fn tokens(&self) -> Option<&[i64]> {
        self.tokens.as_deref()
    }

    /// The attention problem of `query_head` in the layer at `position` of [`Capture::layers`].
    ///
    /// # Errors
    /// [`CaptureError::Problem`] where there is no such layer or head.
    pub fn head(&self, position: usize, query_head: usize) -> Result<Head, CaptureError> {
        self.build_head(position, query_head).map_err(|source| {
            // A layer that there is not has no index: its position is what was asked for.
            let index = self.layers.get(position).map_or(position, |layer| layer.index);
            CaptureError::problem(&self.path, &format!("layer.{index}, query head {query_head}"), source)
        })
    }

    fn build_head(&self, position: usize, query_head: usize) -> Result<Head, ProblemError> {
        let layer = self.layers.get(position).ok_or(ProblemError::Axis {
            tensor: "capture",
            axis: "layers",
            found: self.layers.len(),
            expected: position + 1,
            reason: "the layer asked for",
        })?;
        if query_head >= self.groups.num_query_heads() {
            return Err(ProblemError::Axis {
                tensor: "query",
                axis: "num_query_heads",
                found: self.groups.num_query_heads(),
                expected: query_head + 1,
                reason: "the head asked for",
            });
        }
        let kv_head = self.groups.kv_head(query_head);
        let query = layer.query.index_axis(Axis(0), query_head).to_owned();
        let key = layer.key.index_axis(Axis(0), kv_head).to_owned();
        let value = layer.value.index_axis(Axis(0), kv_head).to_owned();
        self.metadata.head(query_head, query, key, value)
    }
}

fn layer(container: &mut dyn Container, layout: LayerLayout) -> Result<Layer, ReadError> {
    let name = |part: &str| format!("layer.{}.{part}", layout.index);
    Ok(Layer {
        index: layout.index,
        query: array(container, &name("query"), layout.query)?,
        key: array(container, &name("key"), layout.key)?,
        value: array(container, &name("value"), layout.value)?,
        o_proj: layout
            .o_proj
            .map(|shape| array(container, &name("o_proj"), shape))
            .transpose()?,
        dtype: layout.dtype,
    })
}

/// The tensor `name` as an array of its checked shape.
fn array<const AXES: usize, D: Dimension>(
    container: &mut dyn Container,
    name: &str,
    shape: [usize; AXES],
) -> Result<Array<f64, D>, ReadError>
where
    [usize; AXES]: IntoDimension<Dim = D>,
{
    let numbers = all_numbers(container, name, &shape)?;
    Array::from_shape_vec(shape.into_dimension(), numbers).map_err(|error| refused(name, error.to_string()))
}

/// The numbers of the whole tensor `name`.
fn all_numbers(container: &mut dyn Container, name: &str, shape: &[usize]) -> Result<Vec<f64>, ReadError> {
    let count = count(shape).ok_or_else(|| refused(name, "holds more elements than memory can"))?;
    numbers(container, name, shape, 0..count, |number| number)
}
