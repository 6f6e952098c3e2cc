//! Laws, agreement statistics, the report and the `obcache` command.

pub mod agreement;
pub mod measure;
