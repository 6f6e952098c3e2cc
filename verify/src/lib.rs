//! Laws, agreement statistics, the report and the `obcache` command.

pub mod agreement;
pub mod ledger;
pub mod measure;
pub mod output;
pub mod report;
pub mod strategies;
pub mod tolerance;
