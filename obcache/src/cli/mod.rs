//! The command line: one file a subcommand, each from its arguments to the text it prints.

mod allocate;
mod capture;
mod checkpoint;
mod claims;
mod counterexample;
#[cfg(test)]
mod documented;
mod evaluate;
mod failure;
mod folder;
mod fraction;
mod generate;
mod golden;
mod inspect;
mod interrupt;
mod merge;
mod progress;
mod report;
mod score;
mod simulate;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Which cached token can a model lose? Compares the scores that rank tokens with the true cost of evicting them.
#[derive(Parser)]
#[command(name = "obcache", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  obcache report
      measure the captures in ./captures and write ./report/index.html
  obcache inspect captures/needle-512.safetensors
      show what a capture holds
  obcache capture --model my-model --text document.txt --out my-model.safetensors
      run a model and save its queries, keys and values
  obcache score my-model.safetensors --out scores.safetensors
      write every score of every head, also of long captures
  obcache evaluate
      let a model answer with a reduced cache, and see how accurate each score leaves it
  obcache generate --prompt 'Once upon a time' --score joint --budget 0.1
      write a text with a reduced cache
  obcache counterexample --score key --truth removal
      find the smallest problem in which the key score is wrong
  obcache allocate captures/text-384.safetensors --bits 2.5
      spread bits over the tokens; 0 bits is eviction
  obcache simulate captures/text-384.safetensors
      decode with a cache of fixed size, and watch the error grow
  obcache claims
      list the proved statements and their tests
  obcache golden check results.safetensors
      check a kernel, and name its bug

Exit codes: 0 done, 1 failure of this program or of the checked kernel, 2 bad input, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Report(report::Arguments),
    Inspect(inspect::Arguments),
    Claims(claims::Arguments),
    Counterexample(counterexample::Arguments),
    Capture(capture::Arguments),
    Evaluate(evaluate::Arguments),
    Generate(generate::Arguments),
    Score(score::Arguments),
    Merge(merge::Arguments),
    Allocate(allocate::Arguments),
    Simulate(simulate::Arguments),
    Golden(golden::Arguments),
}

impl Command {
    fn run(&self) -> Result<String, Failure> {
        match self {
            Self::Report(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(),
            Self::Claims(arguments) => Ok(arguments.run()),
            Self::Counterexample(arguments) => arguments.run(),
            Self::Capture(arguments) => arguments.run(),
            Self::Evaluate(arguments) => arguments.run(),
            Self::Generate(arguments) => arguments.run(),
            Self::Score(arguments) => arguments.run(),
            Self::Merge(arguments) => arguments.run(),
            Self::Allocate(arguments) => arguments.run(),
            Self::Simulate(arguments) => arguments.run(),
            Self::Golden(arguments) => arguments.run(),
        }
    }
}

/// Parses the command line and runs the command: its text goes to stdout, a failure to stderr.
pub fn run() -> ExitCode {
    match Cli::parse().command.run().and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                Failure::Verdict { text, .. } => drop(print(text)),
                _ => eprintln!("error: {failure}"),
            }
            failure.exit_code()
        }
    }
}

/// A reader that stops early, as `head` does, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Ours(format!("standard output: {error}"))),
        _ => Ok(()),
    }
}
