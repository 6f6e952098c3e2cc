//! From captures to numbers: every score beside every truth, on every head.

pub(crate) mod budgets;
mod compensation;
pub(crate) mod contributions;
mod error;
mod field;
mod gauge;
mod grid;
mod head;
mod interaction;
mod means;
mod measurements;
mod options;
mod projection;
mod regret;
mod rows;
mod run;
mod spectrum;
mod split;
pub(crate) mod subsets;
mod values;

pub use error::MeasureError;
pub use gauge::{GaugeExample, KeyShift};
pub use grid::{BUDGETS, FIELD_BUDGETS, WINDOWS};
pub use means::{Means, MissingCell};
pub use measurements::Measurements;
pub use options::Options;
pub use rows::{
    Agreement, Compensated, FieldRegret, GaugeShift, HeadId, Interaction, Projection, Regret, SharingRegret, Spectrum,
    Summary, TokenRow,
};
pub use run::run;
