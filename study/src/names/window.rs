//! Over which queries a score is summed.

use std::fmt;

use obd_core::QueryWindow;

/// The query window of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The same window for every score.
    Of(QueryWindow),
    /// Each score has a window of its own.
    Own,
}

impl From<QueryWindow> for Window {
    fn from(window: QueryWindow) -> Self {
        Self::Of(window)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(window) => window.fmt(f),
            Self::Own => f.write_str("own"),
        }
    }
}
