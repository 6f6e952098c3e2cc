//! Every score and every exact error of every head of a capture, in one file: resumable, and split where it is long.
//!
//! [`run`] computes, group by group (the query heads of one KV head in one layer), and [`merge`] joins what a split run
//! wrote. A [`Plan`] says what is computed; a [`Request`] also how: threads, memory and shards move no bit of the file.
//! The files are described in `docs/score.md`.

mod assembly;
mod columns;
mod compute;
mod digest;
mod error;
mod folder;
mod heads;
mod layout;
mod merge;
mod part;
mod plan;
mod request;
mod run;
mod shard;
mod stream;
mod work;

pub use columns::Column;
pub use error::ScoringError;
pub use heads::Heads;
pub use merge::merge;
pub use plan::{Group, Plan, PlannedLayer, Precision};
pub use request::Request;
pub use run::{Outcome, run};
pub use shard::Shard;
