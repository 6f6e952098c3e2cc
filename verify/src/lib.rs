//! Laws, agreement statistics, the report and the `obcache` command.

pub mod agreement;
pub mod allocation;
pub mod cli;
pub mod conformance;
pub mod counterexample;
pub mod evaluate;
pub mod golden;
pub mod ledger;
pub mod measure;
pub mod output;
mod page;
pub mod report;
pub mod scoring;
pub mod simulation;
pub mod strategies;
pub mod tolerance;
