//! Laws, agreement statistics, the report and the `obcache` command.
