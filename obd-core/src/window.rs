//! Over which queries a saliency is summed.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::UnknownName;

/// The query window W of a score or of an error: the queries that it sums over.
///
/// Written as `all` or `last-32`; read also as `32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryWindow {
    /// All queries.
    All,
    /// The last so many queries, or all where there are fewer.
    Last(usize),
}

impl QueryWindow {
    /// The queries inside the window, of `query_len`.
    pub fn queries(self, query_len: usize) -> Range<usize> {
        match self {
            Self::All => 0..query_len,
            Self::Last(count) => query_len.saturating_sub(count)..query_len,
        }
    }
}

impl fmt::Display for QueryWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Last(count) => f.pad(&format!("last-{count}")),
        }
    }
}

impl FromStr for QueryWindow {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        if name == "all" {
            return Ok(Self::All);
        }
        match name.strip_prefix("last-").unwrap_or(name).parse() {
            Ok(count) if count > 0 => Ok(Self::Last(count)),
            _ => Err(UnknownName {
                kind: "query window",
                name: name.to_owned(),
                expected: "all, or the last so many queries: last-32 or 32",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_queries_are_the_newest() {
        assert_eq!(QueryWindow::All.queries(5), 0..5);
        assert_eq!(QueryWindow::Last(2).queries(5), 3..5);
        assert_eq!(QueryWindow::Last(9).queries(5), 0..5);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(QueryWindow::Last(32).to_string(), "last-32");
        for window in [QueryWindow::All, QueryWindow::Last(1), QueryWindow::Last(32)] {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        assert_eq!("32".parse(), Ok(QueryWindow::Last(32)));
        for refused in ["", "last", "last-0", "0", "-1", "first-3", "last-last-3"] {
            assert!(refused.parse::<QueryWindow>().is_err(), "{refused}");
        }
    }
}
