//! The exact errors that scores are compared with.

use std::fmt;

use obd_core::Perturbation;

/// The error that a score is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// The squared norm of what a perturbation does to a head's output.
    Of(Perturbation),
    /// The squared norm of what removal does to the output of a KV head's query heads together, behind the output projection.
    RemovalBehindOutput,
}

impl From<Perturbation> for Truth {
    fn from(what: Perturbation) -> Self {
        Self::Of(what)
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(what) => what.fmt(f),
            Self::RemovalBehindOutput => f.write_str("removal behind W_O"),
        }
    }
}
