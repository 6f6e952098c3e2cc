//! Selections that choose a set and not a ranking, measured beside every ranking.

use obcache_scores::Protection;
use obcache_scores::subset::{exchange, rounds};
use obd_core::QueryWindow;

use super::split::Split;

/// Names of the set selections, in the order of the report.
pub(crate) const SUBSETS: [&str; 2] = ["rounds", "exchange"];

/// The tokens of the split's past that each of [`SUBSETS`] keeps, ascending.
pub(super) fn kept(split: &Split, window: QueryWindow, budget: usize, protection: Protection) -> [Vec<usize>; 2] {
    let (head, trace) = split.scored;
    let in_rounds = rounds::keep(head, trace, window, budget, protection, rounds::ROUNDS);
    let exchanged = exchange::improve(head, trace, window, in_rounds.clone(), protection, exchange::EXCHANGES);
    [in_rounds, exchanged]
}
