//! How the errors of tokens add up in a set, and what that means for whoever ranks them one by one (claims C37, C38).

use ndarray::{Array1, Array2, Axis};
use obcache_scores::Score;
use obcache_scores::exact::set;
use obcache_scores::select::{Budget, Protection, evicted, select, sets};
use obd_core::{AttentionTrace, Head, QueryWindow};

use super::error::HeadError;
use super::rows::{HeadId, Interaction, Regret};
use crate::names::{Protected, Selection, SetSelection};

/// Queries whose pairs of tokens are looked at for the cone: the last so many.
const CONE_QUERIES: usize = 32;

/// Share of the tokens kept.
const BUDGET: f64 = 0.2;

/// The row of one head, all queries in the window: `rankings`, removal and greedy among them, and the regrets of all selections.
pub(super) fn row(
    id: &HeadId,
    (head, trace): &(Head, AttentionTrace),
    rankings: &[(Selection, Array1<f64>)],
    regrets: &[Regret],
) -> Result<Interaction, HeadError> {
    let ranking = |selection: Selection| {
        let found = rankings.iter().find(|ranking| ranking.0 == selection);
        &found.expect("removal and greedy are among the rankings").1
    };
    let (alone, greedy) = (ranking(Score::Removal.into()), ranking(SetSelection::Greedy.into()));
    let window = QueryWindow::All;
    let tokens = head.kv_len();
    let gone = |share: f64| -> Result<Vec<usize>, HeadError> {
        let kept = select(greedy, Budget::Fraction(share), Protection::default())?;
        Ok(evicted(tokens, &kept))
    };
    let set = evicted(tokens, &select(alone, Budget::Fraction(BUDGET), Protection::default())?);
    let error = set::removal_error(head, trace, &set, window);
    let apart: f64 = set.iter().map(|&token| alone[token]).sum();
    let over = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let cone = cone(head, trace, &set);
    Ok(Interaction {
        capture: id.capture.clone(),
        layer: id.layer,
        head: id.head,
        budget: BUDGET,
        over_best: over_best(regrets),
        over_sum: over(error, apart),
        renormalisation: over(error, first_order(head, trace, &set, window)),
        submodularity: submodularity((head, trace), &gone(0.5)?, &gone(0.4)?),
        least_cosine_seen: cone.least_seen,
        least_cosine_evicted: cone.least_evicted,
        opposed: cone.opposed,
    })
}

/// Error of the single-token ranking's set over the least of all set selections.
fn over_best(regrets: &[Regret]) -> Option<f64> {
    let here = |row: &&Regret| row.budget == BUDGET && row.protection == Protected::Nothing;
    let rows = || regrets.iter().filter(here);
    let alone = rows().find(|row| row.score == Score::Removal.into());
    let alone = alone.expect("removal is among the rankings").relative_error;
    let sets = rows().filter(|row| matches!(row.score, Selection::Set(_)));
    let least = sets.map(|row| row.relative_error).fold(f64::INFINITY, f64::min);
    (least > 0.0).then(|| alone / least)
}

/// `1_Sᵀ G 1_S` without the matrix. Claim C37.
fn first_order(head: &Head, trace: &AttentionTrace, set: &[usize], window: QueryWindow) -> f64 {
    let values = head.value().select(Axis(0), set);
    let weights = trace.weights.select(Axis(1), set);
    let moved = weights.dot(&values);
    let squares = window.queries(head.query_len()).map(|i| {
        let change = &moved.row(i) - &(&trace.output.row(i) * weights.row(i).sum());
        change.mapv(|x| x * x).sum()
    });
    squares.sum()
}

/// Sum of what each token of `after` beyond `before` adds alone to the error of `before`, over what they add together.
fn submodularity((head, trace): (&Head, &AttentionTrace), before: &[usize], after: &[usize]) -> Option<f64> {
    let window = QueryWindow::All;
    let kept = evicted(head.kv_len(), before);
    let error = |set: &[usize]| set::removal_error(head, trace, set, window);
    let (start, end) = (error(before), error(after));
    let single = sets::errors_without(head, trace, window, &kept);
    let joining = kept.iter().zip(&single).filter(|(token, _)| after.contains(token));
    let alone: f64 = joining.map(|(_, error)| error - start).sum();
    (end > start).then(|| alone / (end - start))
}

/// Cosines between `v_j - o_i` and `v_l - o_i`.
struct Cone {
    least_seen: Option<f64>,
    least_evicted: Option<f64>,
    opposed: Option<f64>,
}

/// Over the pairs of tokens that each of the last queries sees: the least cosine of all and of the evicted, and the share of
/// the evicted pairs whose cosine is below 0. Claim C38.
fn cone(head: &Head, trace: &AttentionTrace, set: &[usize]) -> Cone {
    let (mut seen, mut evicted) = (f64::INFINITY, f64::INFINITY);
    let (mut opposed, mut pairs) = (0usize, 0usize);
    for i in QueryWindow::Last(CONE_QUERIES).queries(head.query_len()) {
        let visible: Vec<usize> = (0..head.kv_len())
            .filter(|&j| head.visibility().visible(i, j))
            .collect();
        let gone: Vec<bool> = visible.iter().map(|j| set.binary_search(j).is_ok()).collect();
        let cosines = cosines(&(&head.value().select(Axis(0), &visible) - &trace.output.row(i)));
        for ((a, b), &cosine) in cosines.indexed_iter().filter(|((a, b), _)| b < a) {
            seen = seen.min(cosine);
            if gone[a] && gone[b] {
                evicted = evicted.min(cosine);
                pairs += 1;
                opposed += usize::from(cosine < 0.0);
            }
        }
    }
    let found = |least: f64| least.is_finite().then_some(least);
    Cone {
        least_seen: found(seen),
        least_evicted: found(evicted),
        opposed: (pairs > 0).then(|| opposed as f64 / pairs as f64),
    }
}

/// Cosines of all pairs of rows; of a row of length 0 with any other 0.
fn cosines(rows: &Array2<f64>) -> Array2<f64> {
    let mut units = rows.clone();
    for mut row in units.rows_mut() {
        let length = row.mapv(|x| x * x).sum().sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    units.dot(&units.t())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use reference_attention::attend;

    fn head() -> (Head, AttentionTrace) {
        // One query, logits 0: weights 1/4, output (0, 1/2).
        let value = array![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let head = Head::new(array![[0.0]], Array2::zeros((4, 1)), value).unwrap();
        let trace = attend(&head);
        (head, trace)
    }

    #[test]
    fn numbers_by_hand() {
        let (head, trace) = head();
        // (1, -1/2) and (-1, -1/2) over 4: together (0, -1/4).
        let first_order = first_order(&head, &trace, &[0, 1], QueryWindow::All);
        assert!((first_order - 1.0 / 16.0).abs() < 1e-15);
        // Cosine of (1, -1/2) and (-1, -1/2): (-1 + 1/4) / (5/4) = -3/5.
        let cone = cone(&head, &trace, &[0, 1]);
        assert!((cone.least_evicted.unwrap() + 0.6).abs() < 1e-15);
        assert_eq!(cone.opposed, Some(1.0));
        assert!(cone.least_seen.unwrap() <= -0.6);
        // From {} to {0, 1}: alone 1/9 · 5/4 each, together (0, -1/4)² / (1/2)² = 1/4.
        let ratio = submodularity((&head, &trace), &[], &[0, 1]).unwrap();
        assert!((ratio - 10.0 / 9.0).abs() < 1e-12);
        assert_eq!(submodularity((&head, &trace), &[0], &[0]), None);
    }
}
