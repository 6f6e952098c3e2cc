//! Eviction as it is served: a prefill, then one decode step after the other with a cache of fixed size, and after each the true
//! error of the output against the cache that forgot nothing.

mod cache;
mod figures;
mod ranking;
mod run;
mod tables;

pub use figures::{deaths, growth};
pub use ranking::Ranking;
pub use run::{Life, Options, Simulation, SimulationError, Step, run};
pub use tables::{lives_table, steps_table, summary};
