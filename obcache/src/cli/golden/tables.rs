//! `obcache golden tables`: what the check catches and how tight its bound is, as pages of the book.

use std::path::PathBuf;

use clap::Args;
use golden::Suite;

use super::super::failure::Failure;
use study::output::write_atomically;
use verify::golden::tables::{bound_page, catches_page};

/// Runs every known bug and every honest rendering over the suite and writes golden-catches.md and golden-bound.md.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Folder of the suite.
    #[arg(long, default_value = "vectors")]
    suite: PathBuf,

    /// Folder to write the pages to.
    #[arg(long, default_value = "docs")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache golden tables
      after a change of suite, bound or bugs";

impl Arguments {
    /// Writes both pages.
    pub fn run(&self) -> Result<String, Failure> {
        let input = |error: String| Failure::Input(error);
        let suite = Suite::read(&self.suite).map_err(|error| input(error.to_string()))?;
        let pages = [
            ("golden-catches.md", catches_page(&suite)),
            ("golden-bound.md", bound_page(&suite)),
        ];
        for (name, page) in pages {
            let page = page.map_err(|error| input(error.to_string()))?;
            let path = self.out.join(name);
            write_atomically(&path, page.as_bytes())
                .map_err(|error| Failure::Ours(format!("{}: {error}", path.display())))?;
        }
        Ok(format!("{}: golden-catches.md and golden-bound.md", self.out.display()))
    }
}
