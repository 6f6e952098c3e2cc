//! `obcache simulate`: eviction as it is served.

use std::num::NonZero;
use std::path::PathBuf;

use capture::Capture;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::failure::Failure;
use super::{folder, fraction, progress};
use crate::measure::PROTECTIONS;
use crate::simulation::{self, Options, SimulationError};

/// Serves a capture with a cache of fixed size: a prefill, then its remaining queries as decode steps with eviction.
///
/// Scores are summed over the prefill's queries and go on being summed along decoding, over what is left in the cache, as a
/// server would; the query heads that share a KV head sum theirs. After every step the output is set beside that of the cache
/// that forgot nothing. Errors of this kind can grow: a token that was evicted is gone for all later queries.
///
/// FOLDER/index.html is the page, which opens without a network, FOLDER/steps.csv holds every step, FOLDER/lives.csv when each
/// token died, FOLDER/growth.png and FOLDER/deaths.png the figures.
/// All of a head's weights are held in memory: made for captures of a few thousand tokens.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz, with one query a token.
    capture: PathBuf,

    /// Tokens that the cache keeps, as a fraction of the prefill.
    #[arg(long, value_name = "FRACTION", default_value = "0.2", value_parser = fraction::parse)]
    budget: f64,

    /// Tokens of the prefill, as a fraction of all.
    #[arg(long, value_name = "FRACTION", default_value = "0.5", value_parser = fraction::parse)]
    prefill: f64,

    /// Decode steps from one eviction to the next.
    #[arg(long, value_name = "STEPS", default_value = "1")]
    every: NonZero<usize>,

    /// What is kept whatever a score says: sinks-and-recent is the first 4 tokens and half of the rest of the budget.
    #[arg(long, default_value = PROTECTIONS[1], value_parser = PossibleValuesParser::new(PROTECTIONS))]
    protection: String,

    /// Folder that tables and figures are written to.
    #[arg(long, value_name = "FOLDER", default_value = "simulation")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache simulate captures/text-384.safetensors
      half of it prefill, then decode with a fifth of that kept
  obcache simulate captures/needle-512.safetensors --budget 0.1 --protection none --out bare
      what scores do without sinks and recent tokens protected
  obcache simulate my-model.safetensors --every 16
      evict in blocks of steps, as servers with pages do";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let capture = Capture::read(&self.capture)?;
        folder::prepare(&self.out)?;
        let options = Options {
            budget: self.budget,
            prefill: self.prefill,
            every: self.every.get(),
            protection: self.protection.clone(),
        };
        let progress = progress::bar("{pos} of {len} KV heads");
        let simulated = simulation::run(&capture, &options, &progress)?;
        progress.finish_and_clear();
        let files = simulation::files(&simulated, &capture.name())?;
        folder::write(&self.out, files)?;
        let page = self.out.join("index.html");
        Ok(format!("{}\n{}", simulation::summary(&simulated), page.display()))
    }
}

impl From<SimulationError> for Failure {
    fn from(error: SimulationError) -> Self {
        Self::Input(error.to_string())
    }
}
