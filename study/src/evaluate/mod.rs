//! What scores are worth in accuracy: a model answers, predicts and goes on with a cache that a score has thinned.
//!
//! [`EvaluationPlan`] says what is run; [`run`] runs it document by document and keeps what is finished; [`Results`] are its rows;
//! [`summary`] and [`report`] turn them into tables, paired tests and figures.

mod document;
mod error;
mod evaluated;
mod eviction;
mod figures;
mod grouping;
mod judge;
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
pub use error::EvaluateError;
pub use evaluated::Evaluated;
pub use eviction::{Prompt, Thinned};
pub use grouping::Grouping;
pub use method::{Form, Method};
pub use paired::{Paired, paired};
pub use plan::{EvaluationPlan, HELD_OUT};
pub use rows::{DocumentRow, HeadPoint, Results};
pub use run::run;
pub use when::When;
