//! Where the files of a checkpoint are.

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use crate::ModelError;

/// A file of a checkpoint, open.
pub(crate) trait ReadSeek: Read + Seek {}
impl<F: Read + Seek> ReadSeek for F {}

/// Where a checkpoint's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    LlamaTiny,
}

/// The files of the embedded checkpoint.
const LLAMA_TINY: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../../models/llama-tiny/config.json")),
    (
        "model.safetensors",
        include_bytes!("../../models/llama-tiny/model.safetensors"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../../models/llama-tiny/tokenizer.json"),
    ),
];

/// Bytes that a JSON file of a checkpoint may have.
const LARGEST_JSON: u64 = 200_000_000;

impl Source {
    /// A folder in Hugging Face layout.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }

    /// The checkpoint that is part of this crate: `models/llama-tiny`, 1.6 million parameters, trained on bytes.
    pub fn llama_tiny() -> Self {
        Self(Place::LlamaTiny)
    }

    /// Name of the model: the folder's.
    pub fn name(&self) -> String {
        match &self.0 {
            Place::Folder(path) => {
                // A folder that is not there has the name it was asked for by.
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                path.file_name()
                    .unwrap_or(path.as_os_str())
                    .to_string_lossy()
                    .into_owned()
            }
            Place::LlamaTiny => "llama-tiny".to_owned(),
        }
    }

    /// A file's name for people.
    pub(crate) fn name_of(&self, file: &str) -> String {
        match &self.0 {
            Place::Folder(path) => path.join(file).display().to_string(),
            Place::LlamaTiny => format!("llama-tiny/{file}"),
        }
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        match &self.0 {
            Place::Folder(path) => path.join(file).is_file(),
            Place::LlamaTiny => LLAMA_TINY.iter().any(|(name, _)| *name == file),
        }
    }

    pub(crate) fn open(&self, file: &str) -> Result<Box<dyn ReadSeek>, ModelError> {
        let failed = |source| ModelError::Io {
            file: self.name_of(file),
            source,
        };
        match &self.0 {
            Place::Folder(path) => open_regular(&path.join(file)).map_err(failed),
            Place::LlamaTiny => match LLAMA_TINY.iter().find(|(name, _)| *name == file) {
                Some((_, bytes)) => Ok(Box::new(Cursor::new(*bytes))),
                None => Err(failed(std::io::ErrorKind::NotFound.into())),
            },
        }
    }

    /// The whole of a small file.
    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        let mut bytes = Vec::new();
        let read = self.open(file)?.take(LARGEST_JSON + 1).read_to_end(&mut bytes);
        read.map_err(|source| ModelError::Io {
            file: self.name_of(file),
            source,
        })?;
        if bytes.len() as u64 > LARGEST_JSON {
            let reason = format!("more than {LARGEST_JSON} bytes");
            return Err(ModelError::Damaged {
                file: self.name_of(file),
                reason,
            });
        }
        Ok(bytes)
    }
}

/// A pipe or a folder under the name of a file would block or fail later.
fn open_regular(path: &Path) -> std::io::Result<Box<dyn ReadSeek>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    Ok(Box::new(File::open(path)?))
}
