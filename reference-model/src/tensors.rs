//! The tensors of a checkpoint: one safetensors file, or several with an index, read one tensor at a time.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};

use half::{bf16, f16};
use ndarray::{Array1, Array2};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use crate::matrix::Matrix;
use crate::source::ReadSeek;
use crate::{ModelError, Number, Source};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Bytes that a header may have; the limit of the safetensors crate.
const LARGEST_HEADER: u64 = 100_000_000;

/// The open files of a checkpoint.
pub(crate) struct Tensors {
    /// The file that says which tensors there are.
    listing: String,
    shards: Vec<Shard>,
    /// Which file holds a tensor.
    places: BTreeMap<String, usize>,
}

struct Shard {
    file: String,
    reader: Box<dyn ReadSeek>,
    header: Metadata,
    /// Where the numbers begin.
    start: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Tensors {
    pub fn open(source: &Source) -> Result<Self, ModelError> {
        if source.has(SINGLE) || !source.has(INDEX) {
            let shard = Shard::open(source, SINGLE)?;
            let places = shard.header.offset_keys().into_iter().map(|name| (name, 0)).collect();
            return Ok(Self {
                listing: shard.file.clone(),
                shards: vec![shard],
                places,
            });
        }
        let damaged = |reason: String| ModelError::Damaged {
            file: source.name_of(INDEX),
            reason,
        };
        let index: Index = serde_json::from_slice(&source.read(INDEX)?).map_err(|error| damaged(error.to_string()))?;
        let mut files: Vec<&String> = index.weight_map.values().collect();
        files.sort();
        files.dedup();
        if let Some(elsewhere) = files.iter().find(|file| file.contains(['/', '\\'])) {
            return Err(damaged(format!(
                "names the file {elsewhere:?}, expected one of this folder"
            )));
        }
        let shards = files
            .iter()
            .map(|file| Shard::open(source, file))
            .collect::<Result<Vec<_>, _>>()?;
        let place = |file: &String| files.binary_search(&file).expect("every file that the index names");
        let places = index
            .weight_map
            .iter()
            .map(|(name, file)| (name.clone(), place(file)))
            .collect();
        Ok(Self {
            listing: source.name_of(INDEX),
            shards,
            places,
        })
    }

    /// A matrix of shape (rows, columns), in its own dtype where that is narrower than `T`.
    pub fn matrix<T: Number>(&mut self, name: &str, shape: (usize, usize)) -> Result<Matrix<T>, ModelError> {
        let (dtype, bytes, file) = self.bytes(name, &[shape.0, shape.1])?;
        let misshapen = |error: ndarray::ShapeError| tensor_error(&file, name, error.to_string());
        match dtype {
            Dtype::BF16 => {
                let numbers = decode(&bytes, bf16::from_le_bytes);
                check_finite(&file, name, numbers.iter().map(|x| x.is_finite()))?;
                Ok(Matrix::Bf16(Array2::from_shape_vec(shape, numbers).map_err(misshapen)?))
            }
            Dtype::F16 => {
                let numbers = decode(&bytes, f16::from_le_bytes);
                check_finite(&file, name, numbers.iter().map(|x| x.is_finite()))?;
                Ok(Matrix::F16(Array2::from_shape_vec(shape, numbers).map_err(misshapen)?))
            }
            _ => {
                let numbers = widened(dtype, &bytes);
                check_finite(&file, name, numbers.iter().map(|x: &T| x.to_f64().is_finite()))?;
                Ok(Matrix::Wide(Array2::from_shape_vec(shape, numbers).map_err(misshapen)?))
            }
        }
    }

    /// A vector of this length, widened.
    pub fn vector<T: Number>(&mut self, name: &str, length: usize) -> Result<Array1<T>, ModelError> {
        let (dtype, bytes, file) = self.bytes(name, &[length])?;
        let numbers = widened(dtype, &bytes);
        check_finite(&file, name, numbers.iter().map(|x: &T| x.to_f64().is_finite()))?;
        Ok(Array1::from_vec(numbers))
    }

    /// Dtype and bytes of a tensor of this shape, and the file it is from.
    fn bytes(&mut self, name: &str, shape: &[usize]) -> Result<(Dtype, Vec<u8>, String), ModelError> {
        let Some(&place) = self.places.get(name) else {
            return Err(tensor_error(&self.listing, name, "is missing"));
        };
        let shard = &mut self.shards[place];
        let missing = || tensor_error(&shard.file, name, "is missing");
        let info = shard.header.info(name).ok_or_else(missing)?;
        if info.shape != shape {
            let reason = format!("shape {:?}, expected {shape:?} by config.json", info.shape);
            return Err(tensor_error(&shard.file, name, reason));
        }
        if !matches!(info.dtype, Dtype::BF16 | Dtype::F16 | Dtype::F32 | Dtype::F64) {
            let reason = format!("dtype {:?}, expected BF16, F16, F32 or F64", info.dtype);
            return Err(tensor_error(&shard.file, name, reason));
        }
        let (from, end) = info.data_offsets;
        let mut bytes = vec![0; end - from];
        let start = SeekFrom::Start(shard.start + from as u64);
        let read = shard
            .reader
            .seek(start)
            .and_then(|_| shard.reader.read_exact(&mut bytes));
        read.map_err(|source| ModelError::Io {
            file: shard.file.clone(),
            source,
        })?;
        Ok((info.dtype, bytes, shard.file.clone()))
    }
}

impl Shard {
    /// Reads and validates the header: the numbers are left for later.
    fn open(source: &Source, file: &str) -> Result<Self, ModelError> {
        let mut reader = source.open(file)?;
        let name = source.name_of(file);
        let io = |source| ModelError::Io {
            file: name.clone(),
            source,
        };
        let damaged = |reason: String| ModelError::Damaged {
            file: name.clone(),
            reason,
        };
        let length = reader.seek(SeekFrom::End(0)).map_err(io)?;
        reader.rewind().map_err(io)?;
        let mut size = [0; 8];
        let short = |_| damaged(format!("{length} bytes, expected 8 for the header's length and more"));
        reader.read_exact(&mut size).map_err(short)?;
        let size = u64::from_le_bytes(size);
        if size > LARGEST_HEADER || size > length - 8 {
            return Err(damaged(format!("a header of {size} bytes in a file of {length}")));
        }
        let mut text = vec![0; size as usize];
        reader.read_exact(&mut text).map_err(io)?;
        let header: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(format!("header: {error}")))?;
        let (promised, held) = (header.data_len() as u64, length - 8 - size);
        if promised != held {
            return Err(damaged(format!(
                "the header promises {promised} bytes of numbers, the file holds {held}"
            )));
        }
        Ok(Self {
            file: name,
            reader,
            header,
            start: 8 + size,
        })
    }
}

fn tensor_error(file: &str, tensor: &str, reason: impl Into<String>) -> ModelError {
    ModelError::Tensor {
        file: file.to_owned(),
        tensor: tensor.to_owned(),
        reason: reason.into(),
    }
}

fn check_finite(file: &str, tensor: &str, mut finite: impl Iterator<Item = bool>) -> Result<(), ModelError> {
    match finite.position(|finite| !finite) {
        Some(place) => Err(tensor_error(file, tensor, format!("element {place} is not finite"))),
        None => Ok(()),
    }
}

fn decode<const WIDTH: usize, N>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> N) -> Vec<N> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    words.iter().map(|&word| number(word)).collect()
}

/// The numbers of a float dtype in `T`.
fn widened<T: Number>(dtype: Dtype, bytes: &[u8]) -> Vec<T> {
    match dtype {
        Dtype::BF16 => decode(bytes, |word| T::from_f64(bf16::from_le_bytes(word).to_f64())),
        Dtype::F16 => decode(bytes, |word| T::from_f64(f16::from_le_bytes(word).to_f64())),
        Dtype::F32 => decode(bytes, |word| T::from_f64(f32::from_le_bytes(word).into())),
        _ => decode(bytes, |word| T::from_f64(f64::from_le_bytes(word))),
    }
}
