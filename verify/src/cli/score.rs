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
use crate::output::prepare_folder;
use crate::scoring::{self, Column, Heads, Outcome, Plan, Precision, Request, Shard, window};

/// Writes every score and every exact error of every layer and head of a capture as safetensors.
///
/// Made for long captures: one KV head is read at a time and scored in strips of queries, so memory grows with the
/// tokens and never with their square. Finished KV heads are kept in the folder FILE.parts until all are there: after
/// Ctrl-C, a kill or a power cut the same command goes on from there. Threads, memory and shards move no bit of the
/// result.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz.
    capture: PathBuf,

    /// File that the scores are written to.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Queries that are summed over: all, or the last so many (last-32, 32).
    #[arg(long, default_value = "all", value_parser = window::parse)]
    window: QueryWindow,

    /// What becomes of the query heads that read one KV head.
    #[arg(long, value_enum, default_value = "each")]
    heads: Heads,

    /// Layers by their index in the model, such as 0,4-7; all without.
    #[arg(long, value_delimiter = ',', value_parser = layers)]
    layers: Vec<RangeInclusive<usize>>,

    /// Arithmetic; f32 without, and f64 where the capture is stored in f64 or has a soft-cap.
    #[arg(long, value_enum)]
    precision: Option<Precision>,

    /// Memory that may be taken; less runs fewer heads at once, in lower strips.
    #[arg(long, value_name = "BYTES", default_value = "2GiB")]
    memory: ByteSize,

    /// Threads; as many as there are cores without.
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZero<usize>>,

    /// Computes share I of N and writes it as a part, for obcache merge.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

const EXAMPLES: &str = "\
Examples:
  obcache score my-model.safetensors --out scores.safetensors
      all layers, heads and queries; run it again after a Ctrl-C and it goes on
  obcache score my-model.safetensors --out scores.safetensors --window last-32 --heads sum
      what the last 32 queries say, one row a KV head
  obcache score my-model.safetensors --out scores.safetensors --memory 500MiB --threads 4
      on a small share of a machine, to the same bytes
  obcache score my-model.safetensors --out part-2.safetensors --shard 2/8
      the second of eight shares; obcache merge joins them

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
