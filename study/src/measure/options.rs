//! What can be chosen about a measurement.

/// What can be chosen about a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Position, as a fraction of the tokens, from which on queries are future ones.
    pub future_from: f64,
}
