//! Exchange mends a selection: evicted tokens that are missed come back, and the least needed go in their place.
//!
//! ```text
//! add the m evicted tokens that lower the error most, then evict the m that the set misses least, both as halving takes them;
//! keep the result where its exact error is lower, else halve m, and stop where m = 1 does not help
//! ```
//! Removal cannot take back a token that turned out to be needed once others had gone; exchange can. It never leaves more error
//! than it was given (claim C36), and may leave less than greedy removal.

use obd_core::{AttentionTrace, Head, QueryWindow};

use super::attended_window::AttendedWindow;
use super::halving::{self, take};
use super::kept::Kept;
use super::pool::Pool;
use super::set_step::SetStep;
use crate::select::{Protection, evicted};

/// Exchanges tried after halving.
pub const EXCHANGES: usize = 8;

/// Share of the kept tokens that the first exchange swaps.
const SHARE: f64 = 0.05;

/// Removal by halving followed by exchange: the `budget` tokens kept, ascending, over the queries of `window`.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn halving_and_exchange(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    budget: usize,
    protection: Protection,
) -> Vec<usize> {
    let kept = halving::keep(head, trace, window, budget, protection);
    improve(head, trace, window, kept, protection, EXCHANGES)
}

/// `kept`, ascending, after at most `exchanges` exchanges over the queries of `window`; protected tokens in it stay.
/// Claim C36.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn improve(
    head: &Head,
    trace: &AttentionTrace,
    window: QueryWindow,
    kept: Vec<usize>,
    protection: Protection,
    exchanges: usize,
) -> Vec<usize> {
    let attended = AttendedWindow { head, trace, window };
    let mut swapped = ((SHARE * kept.len() as f64) as usize).max(1);
    let mut best = Kept::new(attended, kept);
    for _ in 0..exchanges {
        let candidate = exchanged(&best, swapped, protection);
        if candidate.error() < best.error() && candidate.tokens.len() <= best.tokens.len() {
            best = candidate;
        } else if swapped == 1 {
            break;
        } else {
            swapped /= 2;
        }
    }
    best.tokens
}

/// The kept tokens with the `count` that they miss most, without the as many that they then need least.
fn exchanged<'a>(kept: &Kept<'a>, count: usize, protection: Protection) -> Kept<'a> {
    let kv_len = kept.attended.head.kv_len();
    let missed = evicted(kv_len, &kept.tokens);
    let joining = take(kept, Pool::new(SetStep::Add, kept, missed), count);
    let joined = kept.after(SetStep::Add, &joining);
    let selectable = protection.selectable(kv_len);
    let candidates = joined
        .tokens
        .iter()
        .copied()
        .filter(|token| selectable.contains(token))
        .collect();
    let going = take(&joined, Pool::new(SetStep::Evict, &joined, candidates), joining.len());
    joined.after(SetStep::Evict, &going)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::set::removal_error;
    use crate::test_heads::scattered;
    use crate::test_heads::trace;
    use ndarray::{Array1, Array2, array};

    fn error(head: &Head, kept: &[usize]) -> f64 {
        removal_error(head, &trace(head), &evicted(head.kv_len(), kept), QueryWindow::All)
    }

    #[test]
    fn a_bad_choice_is_mended_to_where_no_single_swap_helps() {
        let head = scattered(None);
        let worst: Vec<Vec<usize>> = vec![vec![0, 1, 2], vec![4, 5, 6], vec![1, 3, 5]];
        for start in worst {
            let kept = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                start.clone(),
                Protection::default(),
                50,
            );
            assert_eq!(kept.len(), 3);
            assert!(error(&head, &kept) <= error(&head, &start));
            // The last exchange that was tried: the best newcomer in, the least needed out.
            let again = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                kept.clone(),
                Protection::default(),
                50,
            );
            assert_eq!(again, kept);
        }
    }

    fn improved(head: &Head, kept: Vec<usize>, exchanges: usize) -> Vec<usize> {
        improve(
            head,
            &trace(head),
            QueryWindow::All,
            kept,
            Protection::default(),
            exchanges,
        )
    }

    /// One query of equal weights over tokens of these values.
    fn even(values: Vec<f64>) -> Head {
        let count = values.len();
        let values = Array1::from(values).insert_axis(ndarray::Axis(1));
        Head::new(array![[0.0]], Array2::zeros((count, 1)), values).unwrap()
    }

    #[test]
    fn the_first_exchange_swaps_a_twentieth_of_the_tokens() {
        // Three evicted tokens outweigh the 40 kept ones, whose values are 0: 2 = 40 / 20 of the three come back.
        let heavy = |j: usize| j >= 40;
        let key = Array2::from_shape_fn((43, 1), |(j, _)| if heavy(j) { 10f64.ln() } else { 0.0 });
        let value = Array2::from_shape_fn((43, 1), |(j, _)| if heavy(j) { 1.0 } else { 0.0 });
        let head = Head::new(array![[1.0]], key, value).unwrap();
        let kept = improved(&head, (0..40).collect(), 1);
        assert_eq!((kept.len(), kept.iter().filter(|&&j| heavy(j)).count()), (40, 2));
    }

    #[test]
    fn where_an_exchange_of_two_does_not_help_one_of_one_is_tried() {
        // The output is 0, the kept values sum to 3/2. Two in, 10 and -23/2, and two out, the ones: -2, which is worse.
        // One in, -23/2, and one out, -10, leaves 0.
        let values = [vec![1.0; 2], vec![-10.0; 19], vec![10.0; 18], vec![9.5, 10.0, -11.5]].concat();
        let head = even(values.clone());
        let start: Vec<usize> = (0..40).collect();
        assert_eq!(improved(&head, start.clone(), 1), start);
        let kept = improved(&head, start, 2);
        assert!(kept.len() == 40 && kept.contains(&41) && !kept.contains(&40));
        assert_eq!(kept.iter().map(|&j| values[j]).sum::<f64>(), 0.0);
    }

    #[test]
    fn an_exchange_for_a_copy_is_not_made() {
        assert_eq!(improved(&even(vec![3.0, 3.0]), vec![0], 1), [0]);
    }

    #[test]
    fn protected_tokens_are_not_swapped_out() {
        let head = scattered(Some(0.5));
        let protection = Protection { sinks: 2, recent: 1 };
        let kept = improve(&head, &trace(&head), QueryWindow::All, vec![0, 1, 3, 6], protection, 50);
        assert!(
            kept.len() == 4 && [0, 1, 6].iter().all(|token| kept.contains(token)),
            "{kept:?}"
        );
        let kept = halving_and_exchange(&head, &trace(&head), QueryWindow::All, 4, protection);
        assert!(
            kept.len() == 4 && [0, 1, 6].iter().all(|token| kept.contains(token)),
            "{kept:?}"
        );
    }

    #[test]
    fn nothing_to_swap_is_left_alone() {
        let head = scattered(None);
        for kept in [vec![], (0..7).collect::<Vec<_>>()] {
            let improved = improve(
                &head,
                &trace(&head),
                QueryWindow::All,
                kept.clone(),
                Protection::default(),
                9,
            );
            assert_eq!(improved, kept);
        }
    }
}
