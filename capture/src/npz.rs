//! Captures in npz, as `numpy.savez(path, obcache_capture=json.dumps(metadata), **tensors)` writes them.
//!
//! Tensor names are those of the safetensors form. The metadata is a string scalar, or the bytes of the JSON text as a
//! `uint8` array. Numbers are read as they come, so a header that promises more than the file holds reserves nothing.

use std::io::{Cursor, Read};

use half::f16;
use npyz::npz::NpzArchive;
use npyz::{Deserialize, NpyFile, Order};

use crate::tensor::{Contents, ReadError, Tensor};

/// Name of the metadata entry.
const METADATA: &str = "obcache_capture";

/// Reads all arrays that a capture may use and its metadata.
pub(crate) fn read(bytes: &[u8], wanted: fn(&str) -> bool) -> Result<Contents, ReadError> {
    let damaged = |error: std::io::Error| ReadError::Damaged(error.to_string());
    let mut archive = NpzArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut contents = Contents {
        metadata: None,
        tensors: Default::default(),
    };
    for name in names.into_iter().filter(|name| name == METADATA || wanted(name)) {
        let refused = |reason: String| ReadError::Tensor {
            tensor: name.clone(),
            reason,
        };
        let array = archive.by_name(&name).map_err(|error| refused(error.to_string()))?;
        let Some(array) = array else { continue };
        if name == METADATA {
            contents.metadata = Some(text(array).map_err(refused)?);
        } else {
            let tensor = tensor(array).map_err(refused)?;
            contents.tensors.insert(name, tensor);
        }
    }
    Ok(contents)
}

/// The text of a string scalar or of a `uint8` array.
fn text<R: Read>(array: NpyFile<R>) -> Result<String, String> {
    let descriptor = array.dtype().descr();
    if descriptor.contains('U') {
        let strings: Vec<String> = elements(array)?;
        return strings
            .into_iter()
            .next()
            .ok_or_else(|| "is empty, expected JSON".to_owned());
    }
    let bytes: Vec<u8> = if descriptor.contains('S') {
        elements::<Vec<u8>, R>(array)?.concat()
    } else {
        elements(array)?
    };
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// An array of numbers widened to f64.
fn tensor<R: Read>(array: NpyFile<R>) -> Result<Tensor, String> {
    if array.order() != Order::C {
        return Err("is in Fortran order, expected C order (numpy.ascontiguousarray)".to_owned());
    }
    let shape = shape(array.shape())?;
    let descriptor = array.dtype().descr();
    let dtype = descriptor.trim_matches(['\'', '"', '<', '>', '|', '=']).to_owned();
    let numbers = match dtype.as_str() {
        "f2" => elements(array)?.into_iter().map(f16::to_f64).collect(),
        "f4" => elements::<f32, R>(array)?.into_iter().map(f64::from).collect(),
        "f8" => elements(array)?,
        "i8" => elements::<i64, R>(array)?
            .into_iter()
            .map(|number| number as f64)
            .collect(),
        _ => {
            return Err(format!(
                "dtype {descriptor}, expected float16, float32, float64 or int64"
            ));
        }
    };
    Ok(Tensor { shape, dtype, numbers })
}

/// The shape in this machine's words, refused where its element count overflows.
fn shape(lengths: &[u64]) -> Result<Vec<usize>, String> {
    let overflow = || format!("shape {lengths:?} holds more elements than memory can");
    let shape: Vec<usize> = lengths
        .iter()
        .map(|&length| usize::try_from(length).map_err(|_| overflow()))
        .collect::<Result<_, _>>()?;
    let count = shape
        .iter()
        .try_fold(8usize, |bytes, &length| bytes.checked_mul(length));
    count.map(|_| shape).ok_or_else(overflow)
}

fn elements<T: Deserialize, R: Read>(array: NpyFile<R>) -> Result<Vec<T>, String> {
    let promised = array
        .shape()
        .iter()
        .try_fold(1u64, |count, &length| count.checked_mul(length));
    let numbers = array.data::<T>().map_err(|error| error.to_string())?;
    let mut read = Vec::new();
    for number in numbers {
        read.push(number.map_err(|error| error.to_string())?);
    }
    if Some(read.len() as u64) != promised {
        return Err(format!(
            "holds {} elements, its header promises {promised:?}",
            read.len()
        ));
    }
    Ok(read)
}
