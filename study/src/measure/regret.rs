//! What every selection costs one head: exact errors of the sets that rankings and set selections evict.

use ndarray::Array1;
use obcache_scores::exact::set;
use obcache_scores::select::{Budget, evicted, select};
use obcache_scores::{Score, SelectionError};
use obd_core::QueryWindow;
use reference_attention::oracle;

use super::compensation::{self, Chosen};
use super::error::HeadError;
use super::grid::BUDGETS;
use super::rows::{Compensated, HeadId, Regret};
use super::split::Split;
use super::subsets;
use crate::names::{Protected, Selection, SetSelection};

/// Whether a selection's sets are also measured with the Surgeon's update: the paper's best, and the strongest yardstick.
fn is_compensated(selection: Selection) -> bool {
    selection == Score::Value.into() || selection == SetSelection::Greedy.into()
}

/// Exact errors of the sets that every ranking and every set selection would evict, with and without protected tokens; some
/// also with the Surgeon's update. `rankings` hold removal and greedy.
pub(super) fn rows(
    id: &HeadId,
    split: &Split,
    window: QueryWindow,
    rankings: &[(Selection, Array1<f64>)],
) -> Result<(Vec<Regret>, Vec<Compensated>), HeadError> {
    let judged_window = split.judged_window(window);
    let (head, trace) = &split.judged;
    let size = oracle::error(&trace.output, judged_window);
    let tokens = split.scored.0.kv_len();
    let error = |evicted: &[usize]| set::removal_error(head, trace, evicted, judged_window);
    let budgets = BUDGETS
        .into_iter()
        .map(|budget| Budget::Fraction(budget).tokens(tokens))
        .collect::<Result<Vec<usize>, SelectionError>>()?;
    let beam = subsets::beam(split, window, &budgets);
    let (mut rows, mut compensated) = (Vec::new(), Vec::new());
    for (place, (budget, kept)) in BUDGETS.into_iter().zip(budgets).enumerate() {
        let mut errors: Vec<(Selection, Protected, f64)> = Vec::new();
        for &protection in Protected::ALL {
            for (score, ranking) in rankings {
                let kept = select(ranking, Budget::Tokens(kept), protection.of(kept))?;
                let evicted = evicted(tokens, &kept);
                errors.push((*score, protection, error(&evicted)));
                if is_compensated(*score) && window != QueryWindow::Last(1) {
                    let chosen = Chosen {
                        score: *score,
                        protection,
                        budget,
                        evicted: &evicted,
                    };
                    compensated.push(compensation::row(id, split, window, &chosen)?);
                }
            }
            for (selection, kept) in subsets::kept(split, window, kept, protection.of(kept)) {
                errors.push((selection.into(), protection, error(&evicted(tokens, &kept))));
            }
        }
        if let Some(sets) = &beam {
            let error = error(&evicted(tokens, &sets[place]));
            errors.push((SetSelection::Beam.into(), Protected::Nothing, error));
        }
        let unprotected = |selection: Selection| {
            let mut errors = errors.iter();
            let found = errors.find(|(score, protection, _)| (*score, *protection) == (selection, Protected::Nothing));
            found.expect("removal and greedy are among the rankings").2
        };
        let (by_oracle, by_greedy) = (
            unprotected(Score::Removal.into()),
            unprotected(SetSelection::Greedy.into()),
        );
        rows.extend(errors.iter().map(|&(score, protection, error)| Regret {
            capture: id.capture.clone(),
            layer: id.layer,
            head: id.head,
            window: window.into(),
            queries: split.queries,
            score,
            protection,
            budget,
            relative_error: if size > 0.0 { error / size } else { 0.0 },
            over_oracle: (by_oracle > 0.0).then(|| error / by_oracle),
            over_greedy: (by_greedy > 0.0).then(|| error / by_greedy),
        }));
    }
    Ok((rows, compensated))
}
