//! The results file of a kernel: safetensors, one tensor per output, named `case/output`.
//!
//! What cannot be used is told tensor by tensor; everything else is kept, also in a file that ends too early.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use golden::check::Values;
use golden::{Dtype, Precision};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Metadata, TensorInfo};
use thiserror::Error;

/// The key of the metadata that names the version of the suite.
pub const VERSION_KEY: &str = "golden_suite";

/// Why nothing of a results file can be used.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Its header is no safetensors header.
    #[error("{}: no safetensors file, or cut off in its header: {reason}", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What the reader said.
        reason: String,
    },
}

/// A results file, open.
#[derive(Debug)]
pub struct Results {
    bytes: Vec<u8>,
    data: usize,
    tensors: BTreeMap<String, TensorInfo>,
    /// The version of the suite that the kernel was run on, where the file says.
    pub version: Option<String>,
}

impl Results {
    /// Opens `file`. Tensors whose bytes are missing at its end are refused one by one by [`Results::values`].
    ///
    /// # Errors
    /// [`ResultsError`] where not even the header can be read.
    pub fn read(file: &Path) -> Result<Self, ResultsError> {
        let bytes = std::fs::read(file).map_err(|source| ResultsError::Read {
            file: file.to_owned(),
            source,
        })?;
        let (data, metadata) = header(&bytes).map_err(|reason| ResultsError::Header {
            file: file.to_owned(),
            reason,
        })?;
        let tensors = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, info.clone()))
            .collect();
        let version = metadata
            .metadata()
            .as_ref()
            .and_then(|words| words.get(VERSION_KEY).cloned());
        Ok(Self {
            data,
            tensors,
            version,
            bytes,
        })
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The numbers of a tensor of this shape, stored in f64, f32 or the format of the case's inputs; `None` where there
    /// is no such tensor.
    ///
    /// # Errors
    /// What is wrong with the tensor and what was expected.
    pub fn values(&self, name: &str, shape: &[usize], dtype: Dtype) -> Option<Result<Values, String>> {
        let info = self.tensors.get(name)?;
        Some(self.decode(info, shape, dtype))
    }

    /// The positions of a tensor of this shape, stored in int64; `None` where there is no such tensor.
    ///
    /// # Errors
    /// What is wrong with the tensor and what was expected.
    pub fn positions(&self, name: &str, shape: &[usize]) -> Option<Result<ArrayD<i64>, String>> {
        let info = self.tensors.get(name)?;
        Some(self.positions_of(info, shape))
    }

    fn positions_of(&self, info: &TensorInfo, shape: &[usize]) -> Result<ArrayD<i64>, String> {
        check_shape(info, shape)?;
        if info.dtype != safetensors::Dtype::I64 {
            return Err(format!("dtype {:?}, expected I64", info.dtype));
        }
        words(self.bytes_of(info)?, shape, i64::from_le_bytes)
    }

    fn decode(&self, info: &TensorInfo, shape: &[usize], dtype: Dtype) -> Result<Values, String> {
        use safetensors::Dtype as Stored;
        check_shape(info, shape)?;
        let bytes = || self.bytes_of(info);
        let (numbers, stored) = match (info.dtype, dtype) {
            (Stored::F64, _) => (words(bytes()?, shape, f64::from_le_bytes)?, Precision::F64),
            (Stored::F32, _) => (
                words(bytes()?, shape, |word| f32::from_le_bytes(word).into())?,
                Precision::F32,
            ),
            (Stored::F16, Dtype::F16) => (
                words(bytes()?, shape, |word| f16::from_le_bytes(word).into())?,
                Precision::F16,
            ),
            (Stored::BF16, Dtype::Bf16) => (
                words(bytes()?, shape, |word| bf16::from_le_bytes(word).into())?,
                Precision::Bf16,
            ),
            (other, Dtype::F32) => return Err(format!("dtype {other:?}, expected F32 or F64")),
            (other, Dtype::F16) => return Err(format!("dtype {other:?}, expected F16, F32 or F64")),
            (other, Dtype::Bf16) => return Err(format!("dtype {other:?}, expected BF16, F32 or F64")),
        };
        Ok(Values { numbers, stored })
    }

    fn bytes_of(&self, info: &TensorInfo) -> Result<&[u8], String> {
        let (start, end) = info.data_offsets;
        let range = self.data + start..self.data + end;
        self.bytes.get(range.clone()).ok_or_else(|| {
            format!(
                "the file is cut off: it has {} bytes, the tensor ends at byte {}",
                self.bytes.len(),
                range.end
            )
        })
    }
}

/// Where the tensors begin, and what the header says of them. The library's own reader refuses a file that ends too early
/// as a whole.
fn header(bytes: &[u8]) -> Result<(usize, Metadata), String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it has fewer than 8 bytes")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let header = rest.get(..length).ok_or("it ends before its header does")?;
    let metadata = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    Ok((8 + length, metadata))
}

fn check_shape(info: &TensorInfo, shape: &[usize]) -> Result<(), String> {
    if info.shape == shape {
        return Ok(());
    }
    Err(format!("shape {:?}, expected {shape:?}", info.shape))
}

fn words<T, const WIDTH: usize>(
    bytes: &[u8],
    shape: &[usize],
    decode: impl Fn([u8; WIDTH]) -> T,
) -> Result<ArrayD<T>, String> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    let numbers = words.iter().map(|&word| decode(word)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), numbers).map_err(|error| error.to_string())
}
