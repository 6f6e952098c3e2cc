//! A capture: the attention problems of one document in some layers of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Axis};
use obd_core::{Head, HeadGroups, ProblemError, Visibility};

use crate::tensor::{Contents, ReadError, Tensor};
use crate::{CaptureError, Metadata, npz, safetensors_file};

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
    /// Reads and checks a `.safetensors` or `.npz` file.
    ///
    /// # Errors
    /// [`CaptureError`] for anything that is not a whole, consistent, finite capture of at least one layer.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let file = path.to_path_buf();
        let contents = read_contents(path)?;
        let metadata = Metadata::parse(contents.metadata.as_deref()).map_err(|reason| CaptureError::Metadata {
            file: file.clone(),
            reason,
        })?;
        let groups = metadata.groups().map_err(|source| CaptureError::Problem {
            file: file.clone(),
            source,
        })?;
        let refused = |(tensor, reason)| CaptureError::Tensor {
            file: file.clone(),
            tensor,
            reason,
        };
        let (layers, tokens) = assemble(contents.tensors, &metadata).map_err(refused)?;
        Ok(Self {
            path: file,
            metadata,
            groups,
            layers,
            tokens,
        })
    }

    /// File name without its extension.
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
        self.build_head(position, query_head)
            .map_err(|source| CaptureError::Problem {
                file: self.path.clone(),
                source,
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
        let mut visibility = Visibility::all(query.nrows(), key.nrows());
        if self.metadata.causal {
            visibility = visibility.causal();
        }
        if let Some(window) = self.metadata.sliding_window {
            visibility = visibility.sliding_window(window)?;
        }
        let mut head = Head::new(query, key, value)?
            .with_scale(self.metadata.scale)?
            .with_visibility(visibility)?;
        if let Some(softcap) = self.metadata.softcap()? {
            head = head.with_softcap(softcap);
        }
        match &self.metadata.sinks {
            Some(sinks) => head.with_sink(sinks[query_head]),
            None => Ok(head),
        }
    }
}

fn read_contents(path: &Path) -> Result<Contents, CaptureError> {
    let file = path.to_path_buf();
    let io = |source| CaptureError::Io {
        file: path.to_path_buf(),
        source,
    };
    if std::fs::metadata(path).map_err(io)?.is_dir() {
        return Err(CaptureError::Kind {
            file,
            found: "is a directory".to_owned(),
        });
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let read = match extension.as_str() {
        "safetensors" => safetensors_file::read,
        "npz" => npz::read,
        _ => {
            return Err(CaptureError::Kind {
                file,
                found: format!("has the extension {extension:?}"),
            });
        }
    };
    let bytes = std::fs::read(path).map_err(io)?;
    read(&bytes, is_part).map_err(|error| match error {
        ReadError::Damaged(reason) => CaptureError::Damaged { file, reason },
        ReadError::Tensor { tensor, reason } => CaptureError::Tensor { file, tensor, reason },
    })
}

/// Whether a tensor of this name belongs to a capture; others are ignored.
fn is_part(name: &str) -> bool {
    name == "tokens" || layer_index(name).is_some()
}

/// L of a name `layer.L.part`.
fn layer_index(name: &str) -> Option<usize> {
    let (index, _) = name.strip_prefix("layer.")?.split_once('.')?;
    index.parse().ok()
}

/// Tensor and reason of a refusal.
type Refusal = (String, String);

fn assemble(
    mut tensors: BTreeMap<String, Tensor>,
    metadata: &Metadata,
) -> Result<(Vec<Layer>, Option<Vec<i64>>), Refusal> {
    for (name, tensor) in &tensors {
        if let Some(reason) = tensor.not_finite() {
            return Err((name.clone(), reason));
        }
    }
    let indices: BTreeSet<usize> = tensors.keys().filter_map(|name| layer_index(name)).collect();
    if indices.is_empty() {
        return Err((
            "layer.L.query".to_owned(),
            "is missing, expected at least one layer".to_owned(),
        ));
    }
    let layers: Vec<Layer> = indices
        .into_iter()
        .map(|index| layer(index, &mut tensors, metadata))
        .collect::<Result<_, _>>()?;
    let kv_len = layers[0].key.len_of(Axis(1));
    let tokens = match tensors.remove("tokens") {
        Some(tensor) if tensor.shape != [kv_len] => {
            return Err((
                "tokens".to_owned(),
                format!("shape {:?}, expected [{kv_len}] (kv_len)", tensor.shape),
            ));
        }
        tokens => tokens.map(|tensor| tensor.numbers.iter().map(|&id| id as i64).collect()),
    };
    Ok((layers, tokens))
}

fn layer(index: usize, tensors: &mut BTreeMap<String, Tensor>, metadata: &Metadata) -> Result<Layer, Refusal> {
    let Metadata {
        num_query_heads,
        num_kv_heads,
        head_dim,
        value_dim,
        ..
    } = *metadata;
    let name = |part: &str| format!("layer.{index}.{part}");
    let mut take = |part: &str| {
        tensors
            .remove(&name(part))
            .ok_or_else(|| (name(part), "is missing".to_owned()))
    };
    let (query, key, value) = (take("query")?, take("key")?, take("value")?);
    let dtype = query.dtype.clone();
    let query = three_axes(&name("query"), query, [Some(num_query_heads), None, Some(head_dim)])?;
    let key = three_axes(&name("key"), key, [Some(num_kv_heads), None, Some(head_dim)])?;
    let kv_len = Some(key.len_of(Axis(1)));
    let value = three_axes(&name("value"), value, [Some(num_kv_heads), kv_len, Some(value_dim)])?;
    let o_proj = match tensors.remove(&name("o_proj")) {
        Some(tensor) => Some(output_projection(&name("o_proj"), tensor, num_query_heads * value_dim)?),
        None => None,
    };
    Ok(Layer {
        index,
        query,
        key,
        value,
        o_proj,
        dtype,
    })
}

/// A tensor of three axes with the lengths that are known; no axis may be empty.
fn three_axes(name: &str, tensor: Tensor, expected: [Option<usize>; 3]) -> Result<Array3<f64>, Refusal> {
    let found = tensor.shape.clone();
    let words: Vec<String> = expected
        .iter()
        .map(|length| length.map_or("at least 1".to_owned(), |length| length.to_string()))
        .collect();
    let refused = || {
        (
            name.to_owned(),
            format!("shape {found:?}, expected [{}]", words.join(", ")),
        )
    };
    let [heads, tokens, channels] = *tensor.shape.as_slice() else {
        return Err(refused());
    };
    let fits = expected
        .iter()
        .zip(&tensor.shape)
        .all(|(expected, &found)| found == expected.unwrap_or(found.max(1)));
    if !fits {
        return Err(refused());
    }
    Array3::from_shape_vec((heads, tokens, channels), tensor.numbers).map_err(|_| refused())
}

fn output_projection(name: &str, tensor: Tensor, inputs: usize) -> Result<Array2<f64>, Refusal> {
    let found = tensor.shape.clone();
    let refused = || (name.to_owned(), format!("shape {found:?}, expected [hidden, {inputs}]"));
    match *tensor.shape.as_slice() {
        [hidden, found] if found == inputs => {
            Array2::from_shape_vec((hidden, found), tensor.numbers).map_err(|_| refused())
        }
        _ => Err(refused()),
    }
}
