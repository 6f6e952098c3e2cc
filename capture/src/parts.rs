//! A capture file whose headers are checked and whose numbers are still unread.

use std::collections::BTreeMap;
use std::path::Path;

use obd_core::HeadGroups;

use crate::container::{Container, Header, ReadError};
use crate::layout::{self, LayerLayout};
use crate::npz::NpzFile;
use crate::safetensors_file::SafetensorsFile;
use crate::{CaptureError, Metadata};

/// What the headers of a capture say, and where its numbers are.
pub(crate) struct CaptureParts {
    pub container: Box<dyn Container>,
    pub metadata: Metadata,
    pub groups: HeadGroups,
    pub headers: BTreeMap<String, Header>,
    pub layers: Vec<LayerLayout>,
}

impl CaptureParts {
    /// Opens a file and checks metadata, names, dtypes and shapes.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError::reading(path, error);
        let mut container = container(path)?;
        let text = container.metadata().map_err(failed)?;
        let metadata = Metadata::parse(text.as_deref()).map_err(|reason| CaptureError::Metadata {
            file: path.to_path_buf(),
            reason,
        })?;
        let groups = metadata
            .groups()
            .map_err(|source| CaptureError::problem(path, "metadata", source))?;
        let headers = container.headers(layout::is_part).map_err(failed)?;
        let layers = layout::layers(&headers, &metadata).map_err(failed)?;
        Ok(Self {
            container,
            metadata,
            groups,
            headers,
            layers,
        })
    }
}

/// Opens a file by its extension.
fn container(path: &Path) -> Result<Box<dyn Container>, CaptureError> {
    let kind = |found: String| CaptureError::Kind {
        file: path.to_path_buf(),
        found,
    };
    let failed = |error| CaptureError::reading(path, error);
    if std::fs::metadata(path)
        .map_err(|error| failed(ReadError::Io(error)))?
        .is_dir()
    {
        return Err(kind("is a directory".to_owned()));
    }
    let Some(extension) = path.extension() else {
        return Err(kind("has no extension".to_owned()));
    };
    match extension.to_string_lossy().as_ref() {
        "safetensors" => Ok(Box::new(SafetensorsFile::open(path)?)),
        "npz" => {
            let file = std::fs::File::open(path).map_err(|error| failed(ReadError::Io(error)))?;
            Ok(Box::new(NpzFile::open(file).map_err(failed)?))
        }
        extension => Err(kind(format!("has the extension {extension:?}"))),
    }
}
