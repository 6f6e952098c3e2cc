//! The files of a report.

use std::io;
use std::path::{Path, PathBuf};

use capture::Capture;

use super::error::ReportError;
use super::{figures, page, tables};
use crate::measure::Measurements;
use crate::output::write_atomically;

/// The files of a report by their path inside the report's folder, `index.html` last.
pub struct Report {
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Renders the report of finished measurements; the same measurements give the same bytes.
///
/// # Errors
/// [`ReportError`] where a figure, the page or a table cannot be made, or a sentence lacks its numbers.
pub fn render(captures: &[Capture], measurements: &Measurements, future_from: f64) -> Result<Report, ReportError> {
    let figures = figures::draw(measurements)?;
    let page = page::render(captures, measurements, &figures, future_from)?;
    let mut files = tables::files(measurements)?;
    for (name, figure) in &figures {
        files.push((format!("figures/{name}.svg").into(), figure.svg().as_bytes().to_vec()));
        files.push((format!("figures/{name}.png").into(), figure.png()?));
    }
    files.push(("index.html".into(), page.into_bytes()));
    Ok(Report { files })
}

impl Report {
    /// Writes every file into `folder`, each at once or not at all.
    ///
    /// # Errors
    /// The system's, with the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            write_atomically(&path, bytes).map_err(|error| (path, error))?;
        }
        Ok(())
    }
}
