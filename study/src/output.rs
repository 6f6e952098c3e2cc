//! Results as files: tables as CSV; written beside their place and renamed into it, so that a failure leaves what was there before.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

/// Creates `folder` where it is missing and makes sure that files can be written there.
///
/// # Errors
/// The system's, where it cannot.
pub fn prepare_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    tempfile::NamedTempFile::new_in(folder).map(drop)
}

/// The rows as CSV, under a header of their fields.
///
/// # Errors
/// [`csv::Error`] where a row has no flat form.
pub fn csv_of(rows: impl IntoIterator<Item = impl Serialize>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    finish_csv(writer)
}

/// The bytes of a table that is complete.
///
/// # Errors
/// [`csv::Error`] where the last of them cannot be written.
pub fn finish_csv(writer: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Writes `bytes` to `path` at once or not at all; the folder is made where it is missing.
///
/// # Errors
/// The system's; `path` then is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    replace_file(path, folder, |file| file.write_all(bytes))
}

/// Replaces `path` by what `write` writes, at once or not at all; until then it lies in the folder `scratch`, which must
/// be on the same file system.
///
/// # Errors
/// Those of `write` and the system's; `path` then is as it was.
pub fn replace_file(
    path: &Path,
    scratch: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(scratch)?;
    let mut buffer = BufWriter::with_capacity(1 << 20, file.as_file());
    write(&mut buffer)?;
    buffer.into_inner()?.sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_failure_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/result.txt");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(write_atomically(&path.join("below a file"), b"third").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn a_folder_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(prepare_folder(&file).is_err());
        assert!(prepare_folder(&folder.path().join("new")).is_ok());
    }
}
