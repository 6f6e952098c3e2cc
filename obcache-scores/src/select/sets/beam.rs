//! Beam removal is greedy exact removal that follows the best few sets at once, so that one bad step is not for good.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::errors_without;

/// The tokens kept, ascending, at each of `budgets`, over the queries of `window`, when after every eviction the best `width`
/// sets are followed. A width of 1 is greedy exact removal; 0 counts as 1. Claim C36.
///
/// O(width · query_len · kv_len · value_dim) an eviction, down to the least budget. A wider beam may end worse: it is a
/// heuristic still. Of equals the set that lost the older token is followed.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn keep(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    budgets: &[usize],
    width: usize,
) -> Vec<Vec<usize>> {
    let tokens = head.kv_len();
    let mut kept = vec![Vec::new(); budgets.len()];
    let mut beam: Vec<Vec<usize>> = vec![(0..tokens).collect()];
    let least = budgets.iter().copied().fold(tokens, usize::min);
    for size in (least..=tokens).rev() {
        if size < tokens {
            beam = step(head, trace, window, beam, width.max(1));
        }
        for (kept, _) in kept
            .iter_mut()
            .zip(budgets)
            .filter(|(_, budget)| tokens.min(**budget) == size)
        {
            *kept = beam[0].clone();
        }
    }
    kept
}

/// The best `width` sets that are one token smaller than those of `beam`, the best first.
fn step(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    beam: Vec<Vec<usize>>,
    width: usize,
) -> Vec<Vec<usize>> {
    let mut ranked: Vec<(f64, usize, usize)> = Vec::new();
    for (parent, set) in beam.iter().enumerate() {
        let errors = errors_without(head, trace, window, set);
        ranked.extend(errors.iter().zip(set).map(|(&error, &gone)| (error, parent, gone)));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut next: Vec<Vec<usize>> = Vec::new();
    for (_, parent, gone) in ranked {
        let left: Vec<usize> = beam[parent].iter().copied().filter(|&token| token != gone).collect();
        if !next.contains(&left) {
            next.push(left);
        }
        if next.len() == width {
            break;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::super::exhaustive;
    use super::*;
    use crate::select::sets::greedy;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;
    use ndarray::{Array2, array};

    #[test]
    fn a_beam_of_one_is_greedy_and_one_of_all_is_the_optimum() {
        for head in [scattered(None), scattered(Some(1.0))] {
            let trace = trace(&head);
            let order = greedy::order(&head, &trace, QueryWindow::All);
            let budgets: Vec<usize> = (0..=7).collect();
            let narrow = keep(&head, &trace, QueryWindow::All, &budgets, 1);
            let wide = keep(&head, &trace, QueryWindow::All, &budgets, 200);
            for budget in budgets {
                let mut expected = order[7 - budget..].to_vec();
                expected.sort_unstable();
                assert_eq!(narrow[budget], expected);
                let optimum = exhaustive::keep(&head, &trace, QueryWindow::All, budget);
                assert_eq!(Some(wide[budget].clone()), optimum);
            }
        }
    }

    #[test]
    fn a_set_reached_twice_is_followed_once_and_budgets_come_in_any_order() {
        // All alike: from {0, 1, 2} the two best lose 0 or 1, and both then reach {2}.
        let head = Head::new(array![[0.0]], Array2::zeros((3, 1)), Array2::ones((3, 1))).unwrap();
        let sets = step(&head, &trace(&head), QueryWindow::All, vec![vec![1, 2], vec![0, 2]], 3);
        assert_eq!(sets, [vec![2], vec![1], vec![0]]);
        let kept = keep(&head, &trace(&head), QueryWindow::All, &[1, 9, 2], 2);
        assert_eq!(kept, [vec![2], vec![0, 1, 2], vec![1, 2]]);
        assert_eq!(keep(&head, &trace(&head), QueryWindow::All, &[9], 2), [vec![0, 1, 2]]);
    }
}
