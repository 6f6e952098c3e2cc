//! Selections that choose a set, measured beside every ranking of single tokens.

use ndarray::{Array1, Array2};
use obcache_scores::select::Protection;
use obcache_scores::select::sets::greedy;
use obcache_scores::select::sets::{addition, beam, cholesky, exchange, gram, halving};
use obd_core::QueryWindow;

use super::grid::BUDGETS;
use super::split::Split;
use crate::names::SetSelection;

/// Sets that the beam follows.
pub(crate) const BEAM_WIDTH: usize = 2;

/// The most tokens of a head that the beam is measured on: one eviction scores all that is left.
pub(crate) const BEAM_TOKENS: usize = 384;

/// The most queries of a window over which the beam is measured.
const FEW: usize = 32;

/// The tokens of the split's past that each of [`SetSelection::SERVED`] keeps, ascending.
pub(super) fn kept(
    split: &Split,
    window: QueryWindow,
    budget: usize,
    protection: Protection,
) -> [(SetSelection, Vec<usize>); 2] {
    let (head, trace) = split.scored;
    let halved = halving::keep(head, trace, window, budget, protection);
    let exchanged = exchange::improve(head, trace, window, halved.clone(), protection, exchange::EXCHANGES);
    [(SetSelection::Halving, halved), (SetSelection::Exchange, exchanged)]
}

/// The set selections that are orders of the tokens as rankings; `gram` is the matrix of the split's past over the window.
pub(super) fn orders(split: &Split, window: QueryWindow, gram: &Array2<f64>) -> [(SetSelection, Array1<f64>); 4] {
    let (head, trace) = split.scored;
    let tokens = head.kv_len();
    let kept_first = |mut order: Vec<usize>| {
        order.reverse();
        order
    };
    let orders = [
        (SetSelection::Greedy, greedy::order(head, trace, window)),
        (SetSelection::Gram, gram::order(gram, tokens)),
        (SetSelection::Cholesky, kept_first(cholesky::order(gram, most(tokens)))),
        (
            SetSelection::Addition,
            kept_first(addition::order(head, trace, window, most(tokens))),
        ),
    ];
    orders.map(|(selection, order)| (selection, ranking(&order, tokens)))
}

/// What the beam keeps at each budget without protection, over few queries of a head that is not too long for it.
pub(super) fn beam(split: &Split, window: QueryWindow, budgets: &[usize]) -> Option<Vec<Vec<usize>>> {
    let (head, trace) = split.scored;
    let few = matches!(window, QueryWindow::Last(queries) if queries <= FEW);
    (few && head.kv_len() <= BEAM_TOKENS).then(|| beam::keep(head, trace, window, budgets, BEAM_WIDTH))
}

/// The largest of [`BUDGETS`] in tokens, rounded up.
fn most(tokens: usize) -> usize {
    let largest = BUDGETS.into_iter().fold(0.0, f64::max);
    (largest * tokens as f64).ceil() as usize
}

/// The last of an order of eviction is worth most; what is not in it goes before all that is.
fn ranking(order: &[usize], tokens: usize) -> Array1<f64> {
    let mut ranking = Array1::from_elem(tokens, -1.0);
    for (place, &token) in order.iter().enumerate() {
        ranking[token] = place as f64;
    }
    ranking
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use obcache_scores::exact::set;
    use obcache_scores::select::{Budget, evicted, select, sets};
    use obd_core::Head;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::split::attended;
    use crate::names::Queries;

    #[test]
    fn an_order_of_eviction_is_a_ranking() {
        assert_eq!(ranking(&[2, 0], 4), array![1.0, -1.0, 0.0, -1.0]);
        assert_eq!((most(48), most(5)), (24, 3));
    }

    #[test]
    fn every_order_selects_the_set_that_it_kept() {
        let mut random = ChaCha8Rng::seed_from_u64(36);
        let mut rows = |channels| Array2::from_shape_simple_fn((20, channels), || random.random_range(-2.0..2.0));
        let problem = attended(Head::new(rows(3), rows(3), rows(2)).unwrap());
        let split = Split {
            queries: Queries::InWindow,
            scored: &problem,
            judged: &problem,
            future: None,
        };
        let window = QueryWindow::Last(FEW);
        let (head, trace) = &problem;
        let matrix = obd_core::gram::gram(head, trace, window);
        let orders = orders(&split, window, &matrix);
        assert_eq!(
            orders.each_ref().map(|order| order.0),
            [
                SetSelection::Greedy,
                SetSelection::Gram,
                SetSelection::Cholesky,
                SetSelection::Addition
            ]
        );
        let gone = |order: Vec<usize>| evicted(20, &order);
        let expected = [
            gone(greedy::order(head, trace, window)[..13].to_vec()),
            gone(gram::order(&matrix, 13)),
            cholesky::order(&matrix, 7),
            addition::order(head, trace, window, 7),
        ];
        for ((name, ranking), mut expected) in orders.into_iter().zip(expected) {
            expected.sort_unstable();
            let kept = select(&ranking, Budget::Tokens(7), Protection::default()).unwrap();
            assert_eq!(kept, expected, "{name}");
        }
        assert_eq!(beam(&split, QueryWindow::All, &[7]), None);
        let sets = beam(&split, window, &[7]).unwrap();
        assert_eq!(sets, sets::beam::keep(head, trace, window, &[7], BEAM_WIDTH));
        assert!(set::removal_error(head, trace, &evicted(20, &sets[0]), window) > 0.0);
    }
}
