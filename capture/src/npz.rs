//! Captures in npz, as `numpy.savez(path, obcache_capture=json.dumps(metadata), **tensors)` writes them.
//!
//! Tensor names are those of the safetensors form. The metadata is a string scalar, or the bytes of the JSON text as a
//! `uint8` array. A compressed entry may inflate a thousandfold: so the headers come first, each from its own few bytes, and
//! an entry's numbers are read only when its shape was accepted, and never further than that shape goes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;

use half::f16;
use npyz::{Deserialize, NpyFile, Order};
use zip::ZipArchive;

use crate::container::{CHUNK, Container, Header, ReadError, count, refused};

/// Name of the metadata entry.
const METADATA: &str = "obcache_capture";

/// Bytes of the metadata array that are read: its text, four bytes a character in NumPy's strings.
const LARGEST_METADATA: u64 = 64 << 20;

/// Bytes of an array's header that are read; NumPy writes 128.
const LARGEST_HEADER: u64 = 1 << 16;

/// An open npz file.
pub(crate) struct NpzFile {
    archive: ZipArchive<BufReader<File>>,
}

impl NpzFile {
    /// Reads the table of contents.
    pub fn open(file: File) -> Result<Self, ReadError> {
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| ReadError::Damaged(error.to_string()))?;
        Ok(Self { archive })
    }

    /// Runs `read` on the array `name`, of which at most `bytes` bytes can be read.
    fn array<T>(
        &mut self,
        name: &str,
        bytes: u64,
        read: impl FnOnce(NpyFile<&mut dyn Read>) -> Result<T, String>,
    ) -> Result<T, ReadError> {
        let entry = self.archive.by_name(&npyz::npz::file_name_from_array_name(name));
        let mut entry = entry.map_err(|error| refused(name, error.to_string()))?.take(bytes);
        let array = NpyFile::new(&mut entry as &mut dyn Read).map_err(|error| refused(name, error.to_string()))?;
        read(array).map_err(|reason| refused(name, reason))
    }
}

impl Container for NpzFile {
    fn metadata(&mut self) -> Result<Option<String>, ReadError> {
        let file = npyz::npz::file_name_from_array_name(METADATA);
        if !self.archive.file_names().any(|name| name == file) {
            return Ok(None);
        }
        self.array(METADATA, LARGEST_METADATA, text).map(Some)
    }

    fn headers(&mut self, wanted: fn(&str) -> bool) -> Result<BTreeMap<String, Header>, ReadError> {
        let names = self
            .archive
            .file_names()
            .filter_map(npyz::npz::array_name_from_file_name);
        let names: Vec<String> = names.filter(|name| wanted(name)).map(str::to_owned).collect();
        let mut headers = BTreeMap::new();
        for name in names {
            let header = self.array(&name, LARGEST_HEADER, |array| header(&array))?;
            headers.insert(name, header);
        }
        Ok(headers)
    }

    fn elements(&mut self, name: &str, range: Range<usize>, take: &mut dyn FnMut(&[f64])) -> Result<(), ReadError> {
        let header = self.array(name, LARGEST_HEADER, |array| header(&array))?;
        let bytes = count(&header.shape).and_then(|count| (count as u64).checked_mul(8));
        let bytes = bytes.and_then(|bytes| bytes.checked_add(LARGEST_HEADER));
        let bytes = bytes.ok_or_else(|| refused(name, "holds more elements than memory can"))?;
        self.array(name, bytes, |array| match header.dtype.as_str() {
            "f2" => pass(array, range, f16::to_f64, take),
            "f4" => pass(array, range, |number: f32| f64::from(number), take),
            "f8" => pass(array, range, |number: f64| number, take),
            _ => pass(array, range, |number: i64| number as f64, take),
        })
    }
}

/// Passes the elements `range` to `take` as they come.
fn pass<T: Deserialize>(
    array: NpyFile<&mut dyn Read>,
    range: Range<usize>,
    number: impl Fn(T) -> f64,
    take: &mut dyn FnMut(&[f64]),
) -> Result<(), String> {
    let mut chunk = Vec::new();
    each(array, range, |element| {
        chunk.push(number(element));
        if chunk.len() == CHUNK {
            take(&chunk);
            chunk.clear();
        }
    })?;
    take(&chunk);
    Ok(())
}

/// The text of a string scalar or of a `uint8` array.
fn text(array: NpyFile<&mut dyn Read>) -> Result<String, String> {
    let descriptor = array.dtype().descr();
    if descriptor.contains('U') {
        let strings: Vec<String> = elements(array, |text| text)?;
        let first = strings.into_iter().next();
        return first.ok_or_else(|| "is empty, expected JSON".to_owned());
    }
    let bytes: Vec<u8> = if descriptor.contains('S') {
        elements(array, |text: Vec<u8>| text)?.concat()
    } else {
        elements(array, |byte: u8| byte)?
    };
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Shape and dtype of an array of numbers in C order.
fn header<R: Read>(array: &NpyFile<R>) -> Result<Header, String> {
    if array.order() != Order::C {
        return Err("is in Fortran order, expected C order (numpy.ascontiguousarray)".to_owned());
    }
    let descriptor = array.dtype().descr();
    let dtype = descriptor.trim_matches(['\'', '"', '<', '>', '|', '=']).to_owned();
    if !["f2", "f4", "f8", "i8"].contains(&dtype.as_str()) {
        return Err(format!(
            "dtype {descriptor}, expected float16, float32, float64 or int64"
        ));
    }
    let lengths = array.shape().iter().map(|&length| usize::try_from(length));
    let shape = lengths.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Header { shape, dtype })
}

/// All elements as they come, so that a header that promises more than the entry holds reserves nothing.
fn elements<T: Deserialize, N>(array: NpyFile<&mut dyn Read>, number: impl Fn(T) -> N) -> Result<Vec<N>, String> {
    let mut read = Vec::new();
    each(array, 0..usize::MAX, |element| read.push(number(element)))?;
    Ok(read)
}

/// Passes the elements `range`, or those that there are of it, to `take`.
fn each<T: Deserialize>(
    array: NpyFile<&mut dyn Read>,
    range: Range<usize>,
    mut take: impl FnMut(T),
) -> Result<(), String> {
    let promised = array.shape().to_vec();
    let elements = array.data::<T>().map_err(|error| error.to_string())?;
    for (place, element) in elements.enumerate().take(range.end) {
        let element = element.map_err(|error| format!("element {place}: {error}, shape {promised:?}"))?;
        if place >= range.start {
            take(element);
        }
    }
    Ok(())
}
