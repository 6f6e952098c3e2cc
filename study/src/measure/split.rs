//! Past and future: score from the queries before a position, judge on the queries from it on.

use obd_core::{AttentionTrace, Head, QueryWindow};
use reference_attention::attend;

use crate::names::Queries;

/// Where a score is computed, and where its selection is judged.
pub(super) struct Split<'a> {
    /// The queries that are judged.
    pub queries: Queries,
    /// The problem that the score sees.
    pub scored: &'a (Head, AttentionTrace),
    /// The problem whose output counts.
    pub judged: &'a (Head, AttentionTrace),
    /// The queries after the split; `None` where those of the score's window are judged.
    pub future: Option<QueryWindow>,
}

impl Split<'_> {
    /// The queries of [`Split::judged`] whose output counts for a score over `window`.
    pub fn judged_window(&self, window: QueryWindow) -> QueryWindow {
        self.future.unwrap_or(window)
    }
}

/// A head with its trace.
pub(super) fn attended(head: Head) -> (Head, AttentionTrace) {
    let trace = attend(&head);
    (head, trace)
}

/// The problem before position `from · kv_len`, and the number of queries from there on; `None` where either is empty.
pub(super) fn past(head: &Head, from: f64) -> Option<(Head, usize)> {
    let past = head.prefix((from * head.kv_len() as f64) as usize)?;
    let future = head.query_len() - past.query_len();
    (future > 0).then_some((past, future))
}
