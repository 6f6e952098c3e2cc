//! The command `obcache`: arguments, progress, exit codes, resumable jobs, conformance files.
//!
//! ```
//! use obcache::scoring::Shard;
//!
//! // `obcache score --shard 2/3` computes the second third of the groups of a capture.
//! let shard: Shard = "2/3".parse().unwrap();
//! assert_eq!(shard.tasks(8), 2..5);
//! assert!("4/3".parse::<Shard>().is_err());
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | the subcommands, one file each; `obcache --help` lists them |
//! | [`scoring`] | the jobs behind `obcache score` and `obcache merge`: split, resumed, joined |
//! | [`conformance`] | the files behind `obcache golden check`: inputs for a kernel in any language, and its results |

pub mod cli;
pub mod conformance;
pub mod scoring;
