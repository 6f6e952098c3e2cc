//! The folder that a command writes its results to.

use std::path::Path;

use super::failure::Failure;
use study::output::{prepare_folder, write_atomically};

/// Makes sure, before any work, that files can be written to `folder`.
pub(super) fn prepare(folder: &Path) -> Result<(), Failure> {
    prepare_folder(folder).map_err(|error| {
        let folder = folder.display();
        Failure::Input(format!("{folder}: {error}, expected a folder that can be written to"))
    })
}

/// Writes each file, a path inside `folder` with its bytes, at once or not at all.
pub(super) fn write(
    folder: &Path,
    files: impl IntoIterator<Item = (impl AsRef<Path>, Vec<u8>)>,
) -> Result<(), Failure> {
    for (name, bytes) in files {
        let path = folder.join(name);
        write_atomically(&path, &bytes).map_err(|error| Failure::Ours(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}
