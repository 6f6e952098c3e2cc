//! From captures to numbers: every score beside every truth, on every head.

pub(crate) mod allocation;
mod compensation;
mod field;
mod gauge;
mod head;
mod interaction;
pub(crate) mod projection;
mod protection;
pub(crate) mod ranking;
mod regret;
mod rows;
mod run;
mod spectrum;
mod split;
pub(crate) mod subsets;
mod summary;

pub use head::WINDOWS;
pub use protection::PROTECTIONS;
pub(crate) use protection::protection;
pub use rows::{
    Agreement, AllocationRegret, Compensated, FieldRegret, GaugeShift, HeadId, Interaction, Projection, Regret,
    Spectrum, Summary, TokenRow,
};
pub use run::{GaugeExample, MeasureError, Measurements, Options, run};

/// Fractions of the tokens kept at which overlap and regret are measured.
pub const BUDGETS: [f64; 4] = [0.05, 0.10, 0.20, 0.50];

/// Those of [`BUDGETS`] at which the whole field is measured.
pub const FIELD_BUDGETS: [f64; 2] = [BUDGETS[1], BUDGETS[2]];
