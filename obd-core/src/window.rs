//! Over which queries a saliency is summed.

use std::ops::Range;

/// The query window W of a score or of an error: the queries that it sums over.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_queries_are_the_newest() {
        assert_eq!(QueryWindow::All.queries(5), 0..5);
        assert_eq!(QueryWindow::Last(2).queries(5), 3..5);
        assert_eq!(QueryWindow::Last(9).queries(5), 0..5);
    }
}
