//! Safetensors: the header is read alone and validated by the safetensors crate, then the tensors that are
//! needed, one by one. Whatever else the file holds is never read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::CaptureError;
use crate::container::{CHUNK, Container, Header, ReadError, refused};

/// Bytes that a header may have; the limit of the safetensors crate.
const LARGEST_HEADER: u64 = 100_000_000;

/// An open safetensors file with its validated header.
pub struct SafetensorsFile {
    file: File,
    header: Metadata,
    /// Where the numbers begin.
    start: u64,
}

impl SafetensorsFile {
    /// Opens a file and validates its header: offsets that overlap, leave gaps or pass the end of the file are refused.
    ///
    /// # Errors
    /// [`CaptureError`] where it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(ReadError::Io).and_then(Self::new);
        file.map_err(|error| CaptureError::reading(path, error))
    }

    fn new(mut file: File) -> Result<Self, ReadError> {
        let length = file.metadata().map_err(ReadError::Io)?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size)
            .map_err(|_| ReadError::Damaged(format!("{length} bytes, expected 8 for the header's length and more")))?;
        let size = u64::from_le_bytes(size);
        if size > LARGEST_HEADER || size > length - 8 {
            return Err(ReadError::Damaged(format!(
                "a header of {size} bytes in a file of {length}, expected at most {}",
                LARGEST_HEADER.min(length - 8)
            )));
        }
        let mut text = vec![0; size as usize];
        file.read_exact(&mut text).map_err(ReadError::Io)?;
        let header: Metadata =
            serde_json::from_slice(&text).map_err(|error| ReadError::Damaged(format!("header: {error}")))?;
        let (promised, held) = (header.data_len() as u64, length - 8 - size);
        if promised != held {
            return Err(ReadError::Damaged(format!(
                "the header promises {promised} bytes of numbers, the file holds {held}"
            )));
        }
        Ok(Self {
            file,
            header,
            start: 8 + size,
        })
    }

    /// The text of a metadata key, where there is one.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// Names of the tensors, as they lie in the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Dtype and shape of a tensor, where there is one.
    pub fn tensor(&self, name: &str) -> Option<(Dtype, &[usize])> {
        self.header.info(name).map(|info| (info.dtype, info.shape.as_slice()))
    }

    /// Copies the bytes of a tensor.
    ///
    /// # Errors
    /// Of kind `NotFound` where there is no such tensor; otherwise the system's.
    pub fn copy(&mut self, name: &str, to: &mut impl Write) -> io::Result<()> {
        let info = self.header.info(name).ok_or(io::ErrorKind::NotFound)?;
        let (from, end) = info.data_offsets;
        self.file.seek(SeekFrom::Start(self.start + from as u64))?;
        let copied = io::copy(&mut (&mut self.file).take((end - from) as u64), to)?;
        if copied != (end - from) as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Container for SafetensorsFile {
    fn metadata(&mut self) -> Result<Option<String>, ReadError> {
        Ok(self.text("obcache_capture").map(str::to_owned))
    }

    fn headers(&mut self, wanted: fn(&str) -> bool) -> Result<BTreeMap<String, Header>, ReadError> {
        let mut headers = BTreeMap::new();
        for (name, info) in self.header.tensors().into_iter().filter(|(name, _)| wanted(name)) {
            let dtype = format!("{:?}", info.dtype);
            if decoded(info.dtype, &[]).is_none() {
                return Err(refused(
                    &name,
                    format!("dtype {dtype}, expected F16, BF16, F32, F64 or I64"),
                ));
            }
            let shape = info.shape.clone();
            headers.insert(name, Header { shape, dtype });
        }
        Ok(headers)
    }

    fn elements(&mut self, name: &str, range: Range<usize>, take: &mut dyn FnMut(&[f64])) -> Result<(), ReadError> {
        let missing = || refused(name, "is missing");
        let info = self.header.info(name).ok_or_else(missing)?;
        let (dtype, width) = (info.dtype, info.dtype.bitsize() / 8);
        let start = self.start + (info.data_offsets.0 + range.start * width) as u64;
        self.file.seek(SeekFrom::Start(start)).map_err(ReadError::Io)?;
        let mut bytes = vec![0; width * range.len().min(CHUNK)];
        for first in range.clone().step_by(CHUNK) {
            bytes.truncate(width * (range.end - first));
            self.file.read_exact(&mut bytes).map_err(ReadError::Io)?;
            take(&decoded(dtype, &bytes).ok_or_else(missing)?);
        }
        Ok(())
    }
}

/// The numbers widened to f64; `None` for another dtype.
fn decoded(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    Some(match dtype {
        Dtype::F16 => decode(bytes, |bytes| f16::from_le_bytes(bytes).to_f64()),
        Dtype::BF16 => decode(bytes, |bytes| bf16::from_le_bytes(bytes).to_f64()),
        Dtype::F32 => decode(bytes, |bytes| f32::from_le_bytes(bytes) as f64),
        Dtype::F64 => decode(bytes, f64::from_le_bytes),
        Dtype::I64 => decode(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        _ => return None,
    })
}

fn decode<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> f64) -> Vec<f64> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    words.iter().map(|&word| number(word)).collect()
}
