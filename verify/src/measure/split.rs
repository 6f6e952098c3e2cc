//! Past and future: score from the queries before a position, judge on the queries from it on.

use obd_core::{AttentionTrace, Head, QueryWindow};
use reference_attention::attend;

/// Where a score is computed, and where its selection is judged.
pub(super) struct Split<'a> {
    /// `in-window` or `future`.
    pub queries: &'static str,
    /// The problem that the score sees.
    pub scored: &'a (Head, AttentionTrace),
    /// The problem whose output counts.
    pub judged: &'a (Head, AttentionTrace),
    /// The queries whose output counts; `None` for those of the score's window.
    pub judged_window: Option<QueryWindow>,
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
