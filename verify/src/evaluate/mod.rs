//! What scores are worth in accuracy: a model answers, predicts and goes on with a cache that a score has thinned.
//!
//! [`Plan`] says what is run; [`run`] runs it document by document and keeps what is finished; [`Results`] are its rows;
//! [`summary`] and [`report`] turn them into tables, paired tests and figures.

mod document;
mod eviction;
mod figures;
mod grouping;
mod method;
mod needle;
mod page;
mod paired;
mod per_head;
mod plan;
mod prediction;
pub mod report;
mod rows;
mod run;
mod store;
pub mod summary;
mod when;

pub use document::{Document, Task};
pub use eviction::{Prompt, Thinned};
pub use grouping::Grouping;
pub use method::{Form, Method};
pub use paired::{Paired, paired};
pub use plan::{HELD_OUT, Plan};
pub use rows::{HeadPoint, Results, Row};
pub use run::{EvaluateError, run};
pub use when::When;
