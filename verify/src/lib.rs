//! Laws, agreement statistics, the report and the `obcache` command.

pub mod agreement;
pub mod cli;
pub mod counterexample;
pub mod ledger;
pub mod measure;
pub mod output;
pub mod report;
pub mod strategies;
pub mod tolerance;
