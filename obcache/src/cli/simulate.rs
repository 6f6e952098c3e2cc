//! `obcache simulate`: eviction as it is served.

use std::num::NonZero;
use std::path::PathBuf;

use capture::Capture;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::failure::Failure;
use super::{folder, fraction, progress};
use study::names::Protected;
use study::simulate::{self, Options, SimulationError};

/// Decodes a capture with a cache of fixed size: a prefill, then its remaining queries as decode steps with eviction.
///
/// Scores are summed over the prefill's queries and then along decoding, over the tokens still cached, as on a
/// server; the query heads that share a KV head sum theirs. After every step the output is compared with that of a cache
/// that evicted nothing. Such errors can grow: an evicted token is gone for all later queries.
///
/// FOLDER/index.html is the page, which opens without a network. FOLDER/steps.csv holds every step, FOLDER/lives.csv the step at which each
/// token was evicted; FOLDER/growth.png and FOLDER/deaths.png are the figures.
/// All weights of a head are held in memory, so captures should have a few thousand tokens at most.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz, with one query a token.
    capture: PathBuf,

    /// Size of the cache, as a fraction of the prefill.
    #[arg(long, value_name = "FRACTION", default_value = "0.2", value_parser = fraction::parse)]
    budget: f64,

    /// Tokens of the prefill, as a fraction of all.
    #[arg(long, value_name = "FRACTION", default_value = "0.5", value_parser = fraction::parse)]
    prefill: f64,

    /// Decode steps from one eviction to the next.
    #[arg(long, value_name = "STEPS", default_value = "1")]
    every: NonZero<usize>,

    /// Tokens that always stay: sinks-and-recent is the first 4 tokens and half of the rest of the budget.
    #[arg(long, default_value_t = Protected::SinksAndRecent, value_parser = protection())]
    protection: Protected,

    /// Folder for tables and figures.
    #[arg(long, value_name = "FOLDER", default_value = "simulation")]
    out: PathBuf,
}

/// Reads a protection by its name.
fn protection() -> impl TypedValueParser<Value = Protected> {
    let names = Protected::ALL.iter().map(|&protection| protection.to_string());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Protected>())
}

const EXAMPLES: &str = "\
Examples:
  obcache simulate captures/text-384.safetensors
      read half of it, then decode with a fifth of that kept
  obcache simulate captures/needle-512.safetensors --budget 0.1 --protection none --out bare
      protect neither sinks nor recent tokens
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
            protection: self.protection,
        };
        let progress = progress::bar("{pos} of {len} KV heads");
        let simulated = simulate::run(&capture, &options, &progress)?;
        progress.finish_and_clear();
        let files = simulate::files(&simulated, &capture.name())?;
        folder::write(&self.out, files)?;
        let page = self.out.join("index.html");
        Ok(format!("{}\n{}", simulate::summary(&simulated), page.display()))
    }
}

impl From<SimulationError> for Failure {
    fn from(error: SimulationError) -> Self {
        Self::Input(error.to_string())
    }
}
