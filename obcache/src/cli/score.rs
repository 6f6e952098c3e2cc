//! `obcache score`: every score of every head of a capture, in one file.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use bytesize::ByteSize;
use clap::Args;
use obd_core::QueryWindow;

use super::failure::Failure;
use super::{interrupt, progress};
use crate::scoring::{self, Column, Heads, Outcome, Plan, Precision, Request, Shard};
use study::output::prepare_folder;

/// Writes every score and every exact error of every layer and head of a capture as safetensors.
///
/// It serves long captures: it reads one KV head at a time and scores it in strips of queries, so memory grows with the number of
/// tokens and never with its square. Finished KV heads are kept in the folder FILE.parts until all are there: after
/// Ctrl-C, a kill or a power cut the same command goes on from them. Threads, memory and shards move no bit of the
/// result.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz.
    capture: PathBuf,

    /// File for the scores.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Queries to sum over: all, or the last few (last-32, 32).
    #[arg(long, default_value = "all")]
    window: QueryWindow,

    /// Whether to write every query head, or to join those that read one KV head.
    #[arg(long, value_enum, default_value = "each")]
    heads: Heads,

    /// Layers by their index in the model, such as 0,4-7 (default: all).
    #[arg(long, value_delimiter = ',', value_parser = layers)]
    layers: Vec<RangeInclusive<usize>>,

    /// Arithmetic (default: f32; f64 if the capture is stored in f64 or has a soft-cap).
    #[arg(long, value_enum)]
    precision: Option<Precision>,

    /// Memory limit; less memory means fewer heads at once, in lower strips.
    #[arg(long, value_name = "BYTES", default_value = "2GiB")]
    memory: ByteSize,

    /// Threads (default: one a core).
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZero<usize>>,

    /// Computes share I of N and writes it as a part, for obcache merge.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

const EXAMPLES: &str = "\
Examples:
  obcache score my-model.safetensors --out scores.safetensors
      score all layers, heads and queries; run it again after a Ctrl-C and it goes on
  obcache score my-model.safetensors --out scores.safetensors --window last-32 --heads sum
      sum over the last 32 queries, write one row a KV head
  obcache score my-model.safetensors --out scores.safetensors --memory 500MiB --threads 4
      use a small share of a machine, write the same bytes
  obcache score my-model.safetensors --out part-2.safetensors --shard 2/8
      compute the second of eight shares; obcache merge joins them

In Python: safetensors.numpy.load_file('scores.safetensors')['layer.0.removal']";

pub(super) fn layers(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected layers by their index, such as 3, or a range of them, such as 4-7".to_owned()),
    }
}

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        if self.out == self.capture {
            let out = self.out.display();
            return Err(Failure::Input(format!("{out}: is the capture, expected another --out")));
        }
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        prepare_output(&self.out, folder.unwrap_or(Path::new(".")))?;
        let interrupted = interrupt::watch()?;
        let progress = progress::bar("{percent}% of the queries");
        let outcome = scoring::run(&self.request(), &progress, &interrupted);
        progress.finish_and_clear();
        Ok(self.summary(&outcome?))
    }

    fn request(&self) -> Request {
        let all_cores = || available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Request {
            capture: self.capture.clone(),
            out: self.out.clone(),
            window: self.window,
            heads: self.heads,
            precision: self.precision,
            layers: (!self.layers.is_empty()).then(|| self.layers.iter().cloned().flatten().collect()),
            shard: self.shard,
            memory: self.memory.as_u64(),
            threads: self.threads.unwrap_or_else(all_cores),
        }
    }

    fn summary(&self, Outcome { plan, computed, kept }: &Outcome) -> String {
        let out = self.out.display();
        if *computed == 0 && *kept > 0 {
            return format!("{out}: holds these scores already; delete it to compute them anew");
        }
        let share = self.shard.map_or(String::new(), |shard| format!(", shard {shard}"));
        let resumed = if *kept > 0 {
            format!(" ({kept} of them from an earlier run)")
        } else {
            String::new()
        };
        format!(
            "{out}: {}{share}, {} KV heads{resumed}",
            describe(plan),
            computed + kept
        )
    }
}

/// What a file of this plan holds, in a line.
pub(super) fn describe(plan: &Plan) -> String {
    format!(
        "{} columns of {}, {} layers, window {}, {}",
        Column::all().count(),
        plan.capture,
        plan.layers.len(),
        plan.window,
        plan.precision
    )
}

/// Makes sure that the output can be written before anything is computed.
pub(super) fn prepare_output(out: &Path, folder: &Path) -> Result<(), Failure> {
    let refused = |reason: String| {
        let out = out.display();
        Failure::Input(format!("{out}: {reason}, expected a file that can be written"))
    };
    if out.is_dir() {
        return Err(refused("is a directory".to_owned()));
    }
    prepare_folder(folder).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_an_index_or_a_range() {
        assert_eq!((layers("3"), layers("4-7")), (Ok(3..=3), Ok(4..=7)));
        for refused in ["", "-", "7-4", "a", "1-", "-1"] {
            assert!(layers(refused).is_err(), "{refused}");
        }
    }
}
