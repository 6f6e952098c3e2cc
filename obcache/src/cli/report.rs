//! `obcache report`: from captures to a page, its figures and all numbers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use capture::Capture;
use clap::Args;

use super::failure::Failure;
use super::{folder, fraction, progress};
use study::measure::{self, Options};
use study::report;

/// Measures every score against every truth on every head, and writes the report.
///
/// The command computes everything before it writes the first file, and replaces each file at once or not at all, so a failure
/// leaves an earlier report as it was. The same captures give the same bytes for any number of threads.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Captures, .safetensors or .npz (default: all in the folder `captures`).
    captures: Vec<PathBuf>,

    /// Folder for the report.
    #[arg(long, value_name = "FOLDER", default_value = "report")]
    out: PathBuf,

    /// Fraction of the tokens at which future queries begin; no score sees these.
    #[arg(long, value_name = "FRACTION", default_value = "0.75", value_parser = fraction::parse)]
    future_from: f64,
}

const EXAMPLES: &str = "\
Examples:
  obcache report
      measure the captures in ./captures, write ./report
  obcache report my-model.safetensors --out my-report
      measure your own capture
  obcache report a.npz b.npz --future-from 0.5
      judge on the second half of the tokens";

/// The folder whose captures are taken where none is named.
const CAPTURES: &str = "captures";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let captures = self.read()?;
        folder::prepare(&self.out)?;
        let options = Options {
            future_from: self.future_from,
        };
        let progress = progress::bar("{pos} of {len} heads");
        let measurements = measure::run(&captures, &options, &progress)?;
        progress.finish_and_clear();
        let report = report::render(&captures, &measurements, self.future_from)?;
        let unwritten =
            |(path, error): (PathBuf, std::io::Error)| Failure::Ours(format!("{}: {error}", path.display()));
        report.write(&self.out).map_err(unwritten)?;
        let page = self.out.join("index.html");
        Ok(format!(
            "{}\n\n{}",
            report::terminal_summary(&measurements)?.trim_end(),
            page.display()
        ))
    }

    /// The captures, whose names must differ because they stand for them in every table.
    fn read(&self) -> Result<Vec<Capture>, Failure> {
        let paths = if self.captures.is_empty() {
            found_in(Path::new(CAPTURES))?
        } else {
            self.captures.clone()
        };
        let mut names = BTreeSet::new();
        let mut captures = Vec::new();
        for path in paths {
            let capture = Capture::read(&path)?;
            if !names.insert(capture.name()) {
                return Err(Failure::Input(format!(
                    "{}: another capture is named {} too, expected one file a name",
                    path.display(),
                    capture.name()
                )));
            }
            captures.push(capture);
        }
        Ok(captures)
    }
}

/// The captures of a folder in the order of their names.
fn found_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let expected = "name the captures to measure: obcache report FILE...";
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::Input(format!("{}: {error}; {expected}", folder.display())))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|kind| kind == "safetensors" || kind == "npz")
    });
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::Input(format!(
            "{}: holds no capture; {expected}",
            folder.display()
        )));
    }
    Ok(paths)
}
