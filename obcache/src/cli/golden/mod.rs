//! `obcache golden`: the golden suite and the conformance check of kernels.

mod check;
mod generate;
mod inputs;
mod tables;

use clap::{Args, Subcommand};

use super::failure::Failure;

/// The golden suite: problems with true answers, and the check of a kernel against them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  obcache golden inputs kernel-inputs
      write the problems, for a kernel in any language
  obcache golden check results.safetensors
      check the kernel's results, and name its bug
  obcache golden generate --out vectors
      write the committed suite again; with --check, only compare";

#[derive(Subcommand)]
enum Command {
    Inputs(inputs::Arguments),
    Check(check::Arguments),
    Generate(generate::Arguments),
    Tables(tables::Arguments),
}

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        match &self.command {
            Command::Inputs(arguments) => arguments.run(),
            Command::Check(arguments) => arguments.run(),
            Command::Generate(arguments) => arguments.run(),
            Command::Tables(arguments) => arguments.run(),
        }
    }
}
