//! The conformance check on files: inputs for a kernel in any language, its results judged, and the check itself checked.

pub mod inputs;
pub mod json;
pub mod judge;
pub mod junit;
pub mod results;
