//! `obcache merge`: the parts of a split run become one file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::interrupt;
use super::score::{describe, prepare_output};
use crate::scoring;

/// Joins the parts that obcache score --shard wrote, to the very bytes of an unsplit run.
///
/// Parts may come in any order. The command names and refuses parts of another capture or of other options, a KV head that appears
/// twice and one that is missing, and then writes nothing.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files that obcache score --shard wrote, one of each shard.
    #[arg(required = true)]
    parts: Vec<PathBuf>,

    /// File for the scores.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  for i in 1 2 3; do obcache score my-model.safetensors --shard $i/3 --out part-$i.safetensors; done
  obcache merge part-1.safetensors part-2.safetensors part-3.safetensors --out scores.safetensors
      write the same bytes as obcache score my-model.safetensors --out scores.safetensors";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        if self.parts.contains(&self.out) {
            let out = self.out.display();
            return Err(Failure::Input(format!(
                "{out}: is one of the parts, expected another --out"
            )));
        }
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        prepare_output(&self.out, folder.unwrap_or(Path::new(".")))?;
        let plan = scoring::merge(&self.parts, &self.out, &interrupt::watch()?)?;
        let (out, count) = (self.out.display(), plan.groups().len());
        Ok(format!("{out}: {}, {count} KV heads", describe(&plan)))
    }
}
