//! What every selection costs one head: exact errors of the sets that rankings and set selections evict.

use ndarray::Array1;
use obcache_scores::{Budget, SelectionError, evicted, select, set};
use obd_core::QueryWindow;
use reference_attention::oracle;

use super::BUDGETS;
use super::compensation::{self, Chosen};
use super::head::HeadError;
use super::protection::{PROTECTIONS, protection as protected};
use super::rows::{Compensated, HeadId, Regret};
use super::split::Split;
use super::subsets::{self, BEAM, SUBSETS};

/// The rankings whose sets are also measured with the Surgeon's update: the paper's best, and the strongest yardstick.
const COMPENSATED: [&str; 2] = ["value", "greedy"];

/// Exact errors of the sets that every ranking and every set selection would evict, with and without protected tokens; the
/// sets of [`COMPENSATED`] also with the Surgeon's update.
pub(super) fn rows(
    id: &HeadId,
    split: &Split,
    window: (&str, QueryWindow),
    rankings: &[(String, Array1<f64>)],
) -> Result<(Vec<Regret>, Vec<Compensated>), HeadError> {
    let judged_window = split.judged_window.unwrap_or(window.1);
    let (head, trace) = &split.judged;
    let size = oracle::error(&trace.output, judged_window);
    let tokens = split.scored.0.kv_len();
    let error = |evicted: &[usize]| set::removal_error(head, trace, evicted, judged_window);
    let budgets = BUDGETS
        .into_iter()
        .map(|budget| Budget::Fraction(budget).tokens(tokens))
        .collect::<Result<Vec<usize>, SelectionError>>()?;
    let beam = subsets::beam(split, window.1, &budgets);
    let (mut rows, mut compensated) = (Vec::new(), Vec::new());
    for (place, (budget, kept)) in BUDGETS.into_iter().zip(budgets).enumerate() {
        let mut errors = Vec::new();
        for protection in PROTECTIONS {
            for (score, ranking) in rankings {
                let kept = select(ranking, Budget::Tokens(kept), protected(protection, kept))?;
                let evicted = evicted(tokens, &kept);
                errors.push((score.as_str(), protection, error(&evicted)));
                if COMPENSATED.contains(&score.as_str()) && window.0 != "last-1" {
                    let chosen = Chosen {
                        score,
                        protection,
                        budget,
                        evicted: &evicted,
                    };
                    compensated.push(compensation::row(id, split, window, &chosen)?);
                }
            }
            let chosen = subsets::kept(split, window.1, kept, protected(protection, kept));
            for (name, kept) in SUBSETS.into_iter().zip(chosen) {
                errors.push((name, protection, error(&evicted(tokens, &kept))));
            }
        }
        if let Some(sets) = &beam {
            errors.push((BEAM, PROTECTIONS[0], error(&evicted(tokens, &sets[place]))));
        }
        let unprotected = |name: &str| {
            let found = errors
                .iter()
                .find(|(score, protection, _)| *score == name && *protection == PROTECTIONS[0]);
            found.map_or(0.0, |(.., error)| *error)
        };
        let (by_oracle, by_greedy) = (unprotected("removal"), unprotected("greedy"));
        rows.extend(errors.iter().map(|&(score, protection, error)| Regret {
            capture: id.capture.clone(),
            layer: id.layer,
            head: id.head,
            window: window.0.to_owned(),
            queries: split.queries.to_owned(),
            score: score.to_owned(),
            protection: protection.to_owned(),
            budget,
            relative_error: if size > 0.0 { error / size } else { 0.0 },
            over_oracle: (by_oracle > 0.0).then(|| error / by_oracle),
            over_greedy: (by_greedy > 0.0).then(|| error / by_greedy),
        }));
    }
    Ok((rows, compensated))
}
