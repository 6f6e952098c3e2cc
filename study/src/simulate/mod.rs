//! Eviction as it is served: a prefill, then one decode step after the other with a cache of fixed size, and after each the true
//! error of the output against the cache that forgot nothing.

mod figures;
mod files;
mod ranking;
mod run;
mod tables;

pub use files::files;
pub use ranking::Ranking;
pub use run::{Life, Options, SimulatedStep, Simulation, SimulationError, run};
pub use tables::summary;
