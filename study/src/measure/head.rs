//! All that is measured on one head.

use ndarray::{Array1, s};
use obcache_scores::SelectionError;
use obcache_scores::exact::phi;
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow, gram};
use reference_attention::oracle;

use super::contributions::{Contributions, Sums};
use super::error::HeadError;
use super::grid::{BUDGETS, WINDOWS};
use super::options::Options;
use super::rows::{Agreement, Compensated, HeadId, Interaction, Regret, Spectrum, TokenRow};
use super::split::{Split, attended, past};
use super::{interaction, regret, spectrum, subsets};
use crate::agreement::{kendall, log_pearson, overlap, spearman};
use crate::names::{Quantity, Queries, Ranking, Selection};

/// Visible (weight, logit) pairs taken from each head for the map of phi.
const PHI_POINTS: usize = 60;

/// What one head gave.
pub(super) struct HeadMeasurement {
    pub agreements: Vec<Agreement>,
    pub regrets: Vec<Regret>,
    pub compensated: Vec<Compensated>,
    pub spectra: Vec<Spectrum>,
    pub interactions: Vec<Interaction>,
    pub tokens: Vec<TokenRow>,
    pub phi_points: Vec<(f64, f64)>,
    /// Largest disagreement of closed form and brute force, over the size of the output.
    pub oracle_gap: f64,
    /// Whether the split leaves a past to score and a future to judge.
    pub has_future: bool,
}

/// Measures one head in-window, and on future queries where the split leaves some.
pub(super) fn measure(id: &HeadId, head: Head, options: &Options) -> Result<HeadMeasurement, HeadError> {
    let whole = attended(head);
    let contributions = Contributions::new(&whole.0, &whole.1);
    let mut measurement = HeadMeasurement {
        agreements: Vec::new(),
        regrets: Vec::new(),
        compensated: Vec::new(),
        spectra: Vec::new(),
        interactions: Vec::new(),
        tokens: token_rows(id, &whole, &contributions.sums(QueryWindow::All)),
        phi_points: phi_points(&whole.0, &whole.1),
        oracle_gap: oracle_gap(&whole),
        has_future: false,
    };
    let in_window = Split {
        queries: Queries::InWindow,
        scored: &whole,
        judged: &whole,
        future: None,
    };
    measurement.compare(id, &in_window, &contributions, None)?;
    if let Some((before, future)) = past(&whole.0, options.future_from) {
        measurement.has_future = true;
        let before = attended(before);
        let scored = Contributions::new(&before.0, &before.1);
        let judged_window = QueryWindow::Last(future);
        let split = Split {
            queries: Queries::Future,
            scored: &before,
            judged: &whole,
            future: Some(judged_window),
        };
        measurement.compare(id, &split, &scored, Some(&contributions.sums(judged_window)))?;
    }
    Ok(measurement)
}

impl HeadMeasurement {
    /// Compares every ranking of the split with every truth, in every window: the truths of `judged`, or of the window itself.
    fn compare(
        &mut self,
        id: &HeadId,
        split: &Split,
        scored: &Contributions,
        judged: Option<&Sums>,
    ) -> Result<(), HeadError> {
        let tokens = split.scored.0.kv_len();
        for window in WINDOWS {
            let sums = scored.sums(window);
            let rankings = Ranking::all().map(|ranking| (ranking, sums.ranking(ranking)));
            let rankings: Vec<(Ranking, Array1<f64>)> = rankings.collect();
            let truths = Perturbation::ALL.map(|truth| {
                let errors = judged.unwrap_or(&sums).error(truth);
                (truth, errors.slice(s![..tokens]).to_owned())
            });
            for (score, ranking) in &rankings {
                for (truth, errors) in &truths {
                    let place = (window, split.queries, *score, *truth);
                    self.agreements.push(agreement(id, place, ranking, errors)?);
                }
            }
            let gram = gram::gram(&split.scored.0, &split.scored.1, window);
            let orders = subsets::orders(split, window, &gram);
            let rankings = rankings
                .into_iter()
                .map(|(ranking, saliency)| (ranking.into(), saliency));
            let orders = orders.into_iter().map(|(set, order)| (set.into(), order));
            let rankings: Vec<(Selection, Array1<f64>)> = rankings.chain(orders).collect();
            // One query spans value_dim directions at most.
            if split.future.is_none() && window != QueryWindow::Last(1) {
                self.spectra.push(spectrum::row(id, window, &gram)?);
            }
            let (regrets, compensated) = regret::rows(id, split, window, &rankings)?;
            if split.future.is_none() && window == QueryWindow::All {
                self.interactions
                    .push(interaction::row(id, split.judged, &rankings, &regrets)?);
            }
            self.regrets.extend(regrets);
            self.compensated.extend(compensated);
        }
        Ok(())
    }
}

fn agreement(
    id: &HeadId,
    (window, queries, score, truth): (QueryWindow, Queries, Ranking, Perturbation),
    ranking: &Array1<f64>,
    errors: &Array1<f64>,
) -> Result<Agreement, SelectionError> {
    let (x, y) = (ranking.to_vec(), errors.to_vec());
    let overlap_at = |budget: f64| overlap(ranking, errors, (budget * x.len() as f64) as usize);
    Ok(Agreement {
        capture: id.capture.clone(),
        layer: id.layer,
        head: id.head,
        window: window.into(),
        queries,
        score,
        truth: truth.into(),
        tokens: x.len(),
        spearman: spearman(&x, &y),
        kendall: kendall(&x, &y),
        log_pearson: log_pearson(&x, &y),
        overlap_05: overlap_at(BUDGETS[0])?,
        overlap_10: overlap_at(BUDGETS[1])?,
        overlap_20: overlap_at(BUDGETS[2])?,
        overlap_50: overlap_at(BUDGETS[3])?,
    })
}

fn token_rows(id: &HeadId, (head, trace): &(Head, AttentionTrace), sums: &Sums) -> Vec<TokenRow> {
    let phi = phi::bounds(head, trace, QueryWindow::All);
    let row = |token: usize| TokenRow {
        id: id.clone(),
        token: (token, head.kv_len()),
        numbers: Quantity::all().map(|quantity| sums.of(quantity)[token]).collect(),
        phi: [phi[[token, 0]], phi[[token, 1]]],
    };
    (0..head.kv_len()).map(row).collect()
}

/// An even sample of the visible pairs.
fn phi_points(head: &Head, trace: &AttentionTrace) -> Vec<(f64, f64)> {
    let visible: Vec<(f64, f64)> = trace
        .weights
        .indexed_iter()
        .filter(|((i, j), _)| head.visibility().visible(*i, *j))
        .map(|((i, j), &weight)| (weight, trace.logits[[i, j]]))
        .collect();
    visible
        .iter()
        .step_by(visible.len().div_ceil(PHI_POINTS).max(1))
        .copied()
        .collect()
}

/// Brute force against closed form on the heaviest and the middle token, all four perturbations.
fn oracle_gap((head, trace): &(Head, AttentionTrace)) -> f64 {
    let weights = obcache_scores::accumulate(&trace.weights, QueryWindow::All);
    let heaviest = (0..head.kv_len())
        .max_by(|&a, &b| weights[a].total_cmp(&weights[b]))
        .expect("a head has tokens");
    let size = trace
        .output
        .iter()
        .fold(f64::MIN_POSITIVE, |size, output| size.max(output.abs()));
    let mut gap = 0.0f64;
    for token in [heaviest, head.kv_len() / 2] {
        for what in Perturbation::ALL {
            let closed = obcache_scores::exact::perturbation(what, head, trace, token);
            let brute = oracle::perturbation(head, what, token);
            gap = (&closed - &brute)
                .iter()
                .fold(gap, |gap, difference| gap.max(difference.abs() / size));
        }
    }
    gap
}
