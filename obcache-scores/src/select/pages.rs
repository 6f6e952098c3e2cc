//! Serving engines hold a cache in pages and can only free whole ones: a page is worth what its tokens are on average.

use std::cmp::Reverse;
use std::ops::Range;

use ndarray::{Array1, s};

use super::Protection;
use crate::SelectionError;

/// Slots kept, ascending, where whole pages are evicted: `saliency` and `positions` of shape (cached); slots whose original
/// positions share `position / page` are one page, and `page` of 0 is taken as 1. Claim C35.
///
/// Pages that hold a protected slot are kept whole. Of the others those of the highest mean saliency that still fit: with
/// additive errors the mean is what the page costs per token freed. Of equals the newer page is kept.
///
/// # Errors
/// [`SelectionError`] where a saliency is NaN, or the protected pages hold more slots than `budget`.
///
/// # Panics
/// Where there is not one position per saliency.
pub fn select_pages(
    saliency: &Array1<f64>,
    positions: &[usize],
    page: usize,
    budget: usize,
    protection: Protection,
) -> Result<Vec<usize>, SelectionError> {
    assert_eq!(saliency.len(), positions.len(), "positions of the slots");
    if let Some(token) = saliency.iter().position(|s| s.is_nan()) {
        return Err(SelectionError::NotANumber(token));
    }
    let open = protection.selectable(saliency.len());
    let inside = |page: &Range<usize>| page.start >= open.start && page.end <= open.end;
    let (mut ranked, mut kept): (Vec<_>, Vec<_>) = pages(positions, page.max(1)).into_iter().partition(inside);
    let protected: usize = kept.iter().map(Range::len).sum();
    let Some(mut left) = budget.min(saliency.len()).checked_sub(protected) else {
        return Err(SelectionError::Protected { protected, budget });
    };
    let mean = |page: &Range<usize>| saliency.slice(s![page.clone()]).sum() / page.len() as f64;
    ranked.sort_by(|a, b| {
        mean(b)
            .total_cmp(&mean(a))
            .then(Reverse(a.start).cmp(&Reverse(b.start)))
    });
    for page in ranked {
        if page.len() <= left {
            left -= page.len();
            kept.push(page);
        }
    }
    let mut slots: Vec<usize> = kept.into_iter().flatten().collect();
    slots.sort_unstable();
    Ok(slots)
}

/// Slots of each page, ascending.
fn pages(positions: &[usize], page: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let runs = positions.chunk_by(|a, b| a / page == b / page);
    runs.map(|run| {
        start += run.len();
        start - run.len()..start
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const NONE: Protection = Protection { sinks: 0, recent: 0 };

    #[test]
    fn whole_pages_go() {
        // Pages (0, 1), (2, 3), (4): means 2, 3, 1.
        let saliency = array![4.0, 0.0, 3.0, 3.0, 1.0];
        let positions = [0, 1, 2, 3, 4];
        assert_eq!(select_pages(&saliency, &positions, 2, 2, NONE).unwrap(), [2, 3]);
        assert_eq!(select_pages(&saliency, &positions, 2, 4, NONE).unwrap(), [0, 1, 2, 3]);
        // Three slots: the second page does not fit any more, the last one does.
        assert_eq!(select_pages(&saliency, &positions, 2, 3, NONE).unwrap(), [2, 3, 4]);
        assert_eq!(select_pages(&saliency, &positions, 0, 1, NONE).unwrap(), [0]);
    }

    #[test]
    fn a_page_is_worth_the_mean_of_its_tokens() {
        // Pages (0, 1) and (2): means 1 and 3/2, sums 2 and 3/2.
        let saliency = array![1.0, 1.0, 1.5];
        assert_eq!(select_pages(&saliency, &[0, 1, 2], 2, 2, NONE).unwrap(), [2]);
    }

    #[test]
    fn pages_are_those_of_the_original_positions() {
        // Positions 1, 2, 3 and 6: pages of two are (1), (2, 3), (6).
        let saliency = array![1.0, 5.0, 0.0, 2.0];
        assert_eq!(select_pages(&saliency, &[1, 2, 3, 6], 2, 2, NONE).unwrap(), [1, 2]);
        assert_eq!(pages(&[1, 2, 3, 6], 2), [0..1, 1..3, 3..4]);
    }

    #[test]
    fn a_page_with_a_protected_slot_stays() {
        let saliency = array![0.0, 0.0, 9.0, 9.0, 0.0, 0.0];
        let positions = [0, 1, 2, 3, 4, 5];
        let ends = Protection { sinks: 1, recent: 1 };
        assert_eq!(select_pages(&saliency, &positions, 2, 4, ends).unwrap(), [0, 1, 4, 5]);
        let refused = SelectionError::Protected {
            protected: 4,
            budget: 3,
        };
        assert_eq!(select_pages(&saliency, &positions, 2, 3, ends), Err(refused));
        let nan = select_pages(&array![f64::NAN], &[0], 1, 1, NONE);
        assert_eq!(nan, Err(SelectionError::NotANumber(0)));
    }

    #[test]
    fn of_equal_pages_the_newer_stays() {
        assert_eq!(
            select_pages(&array![1.0, 1.0, 1.0], &[0, 1, 2], 1, 2, NONE).unwrap(),
            [1, 2]
        );
    }
}
