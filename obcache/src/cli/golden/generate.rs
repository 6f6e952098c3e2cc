//! `obcache golden generate`: writes the suite, or compares it with what lies there.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::progress;
use study::output::{prepare_folder, write_atomically};
use verify::golden::{self, GenerateError};

/// Makes the golden suite again: the same bytes on every machine, every number certified.
///
/// Needs the captures of this repository for the family `captured`. Takes some ten seconds.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Folder to write to.
    #[arg(long, value_name = "DIR", default_value = "vectors")]
    out: PathBuf,
    /// Write nothing; fail where a file in the folder differs, is missing, or does not belong there.
    #[arg(long)]
    check: bool,
    /// Make the case of 8 192 tokens, which is too large to commit, as a suite of its own.
    #[arg(long)]
    long: bool,
    /// Folder of the shipped captures.
    #[arg(long, value_name = "DIR", default_value = "captures")]
    captures: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache golden generate
      write ./vectors
  obcache golden generate --check
      is ./vectors what this program writes? (exit code 1 if not)
  obcache golden generate --long --out long-vectors
      8 192 tokens in three dtypes";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        if !self.check {
            prepare_folder(&self.out).map_err(|error| Failure::Input(format!("{}: {error}", self.out.display())))?;
        }
        let progress = progress::bar("{pos} of {len} cases");
        let files = match self.long {
            true => golden::generate_long(&progress),
            false => golden::generate(&self.captures, &progress),
        }?;
        progress.finish_and_clear();
        match self.check {
            true => compare(&self.out, &files),
            false => write(&self.out, &files),
        }
    }
}

impl From<GenerateError> for Failure {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Capture(error) => error.into(),
            GenerateError::Truth { .. } => Self::Ours(error.to_string()),
        }
    }
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<String, Failure> {
    let mut bytes = 0;
    for (name, contents) in files {
        let path = folder.join(name);
        write_atomically(&path, contents).map_err(|error| Failure::Ours(format!("{}: {error}", path.display())))?;
        bytes += contents.len();
    }
    Ok(format!(
        "{}: {} files, {:.1} MB, suite version {}",
        folder.display(),
        files.len(),
        bytes as f64 / 1e6,
        golden::VERSION
    ))
}

fn compare(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<String, Failure> {
    let differences = golden::differences(folder, files);
    if differences.is_empty() {
        return Ok(format!(
            "{}: {} files, all the same bytes",
            folder.display(),
            files.len()
        ));
    }
    Err(Failure::Ours(differences.join("\n")))
}
