//! Safetensors written piece by piece, so that no more than one piece is in memory.

use std::collections::HashMap;
use std::io::{self, Write};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serialize;

/// A tensor of f64 to come.
pub(super) struct Tensor {
    pub name: String,
    pub shape: [usize; 2],
}

/// Everything before the numbers.
pub(super) struct Header(Metadata);

impl Header {
    /// A header with one metadata entry, in JSON, and tensors one after the other.
    pub fn new(key: &str, entry: &impl Serialize, tensors: Vec<Tensor>) -> io::Result<Self> {
        let mut end = 0;
        let mut infos = Vec::new();
        for Tensor { name, shape } in tensors {
            let start = end;
            end += shape[0] * shape[1] * size_of::<f64>();
            let info = TensorInfo {
                dtype: Dtype::F64,
                shape: shape.to_vec(),
                data_offsets: (start, end),
            };
            infos.push((name, info));
        }
        let entry = HashMap::from([(key.to_owned(), serde_json::to_string(entry)?)]);
        Metadata::new(Some(entry), infos).map(Self).map_err(io::Error::other)
    }

    /// The text of the metadata entry.
    pub fn entry(&self) -> Option<&str> {
        self.0.metadata().as_ref()?.values().next().map(String::as_str)
    }

    /// Writes the header; the numbers of all tensors must follow.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = serde_json::to_vec(&self.0)?;
        // The numbers begin at a multiple of 8, as the format's readers expect.
        text.resize(text.len().next_multiple_of(8), b' ');
        to.write_all(&(text.len() as u64).to_le_bytes())?;
        to.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn the_safetensors_crate_reads_what_is_streamed() {
        let tensors = ["b", "a"].map(|name| Tensor {
            name: name.to_owned(),
            shape: [1, 2],
        });
        let header = Header::new("key", &"entry", tensors.into()).unwrap();
        let mut bytes = Vec::new();
        header.write(&mut bytes).unwrap();
        bytes.extend([1.0f64, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("a").unwrap().shape(), [1, 2]);
        assert_eq!(file.tensor("a").unwrap().data()[..8], 3f64.to_le_bytes());
        let (_, read) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(read.metadata().as_ref().unwrap()["key"], "\"entry\"");
    }
}
