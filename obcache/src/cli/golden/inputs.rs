//! `obcache golden inputs`: what a kernel in another language is to compute.

use std::path::PathBuf;

use clap::Args;
use golden::Suite;

use super::super::failure::Failure;
use crate::conformance::inputs;

/// Writes the inputs of every case and decode trace, without the answers, and says which outputs to compute.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Folder to write inputs.safetensors, cases.json and a README to.
    folder: PathBuf,

    /// Folder of the suite.
    #[arg(long, default_value = "vectors")]
    suite: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache golden inputs kernel-inputs
      then compute, and: obcache golden check results.safetensors";

impl Arguments {
    /// Writes, and says what.
    pub fn run(&self) -> Result<String, Failure> {
        let suite = Suite::read(&self.suite).map_err(|error| Failure::Input(error.to_string()))?;
        inputs::write(&suite, &self.folder)
            .map_err(|error| Failure::Ours(format!("{}: {error}", self.folder.display())))?;
        let outputs: usize = suite.cases.iter().map(|case| case.outputs.len()).sum();
        Ok(format!(
            "{}: {} cases of suite {}, {outputs} outputs to compute, and {} decode traces to follow; README.md says how",
            self.folder.display(),
            suite.cases.len(),
            suite.version,
            suite.decode_traces.len()
        ))
    }
}
