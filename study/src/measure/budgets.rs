//! Budgets across heads and layers: what each way to share a budget costs with each score on future queries.
//!
//! A score sees the last queries before a position; every KV head evicts for all query heads that read it, as in the field. A way
//! to share that keeps a layer's total is judged layer by layer, and every one by the whole model.

use std::collections::HashMap;

use capture::Capture;
use ndarray::Array1;
use obcache_scores::exact::set;
use obcache_scores::select::budgets::{ada_kv, pyramid_kv, uniform, water_filling};
use obcache_scores::select::{Budget, Protection, evicted, select};
use obcache_scores::{Score, SelectionError, accumulate};
use obd_core::{AttentionTrace, GroupReduction, Head, QueryWindow};
use rayon::prelude::*;
use reference_attention::oracle;

use super::error::MeasureError;
use super::grid::FIELD_BUDGETS;
use super::rows::SharingRegret;
use super::split::{attended, past};
use crate::names::Sharing;

/// The queries that a score sees, as SnapKV's votes in the field.
pub(crate) const WINDOW: QueryWindow = QueryWindow::Last(32);

/// The scores under every shared budget: SnapKV's votes, the paper's value score, and the exact error.
pub(crate) const SCORES: [Score; 3] = [Score::Weight, Score::Value, Score::Removal];

/// Share of the uniform budget that AdaKV leaves to every head, as in its paper.
const SAFEGUARD: f64 = 0.2;

/// Slope of PyramidKV, as in its paper.
const SLOPE: f64 = 20.0;

/// Tokens that every KV head of every layer keeps when `score` chooses them, `per_head` on average.
fn tokens(
    sharing: Sharing,
    layers: &[Layer],
    score: Score,
    per_head: usize,
) -> Result<Vec<Vec<usize>>, SelectionError> {
    let in_layers = |share: &dyn Fn(&Layer) -> Result<Vec<usize>, SelectionError>| layers.iter().map(share).collect();
    match sharing {
        Sharing::Uniform => in_layers(&|layer| Ok(uniform(per_head * layer.heads(), layer.heads()))),
        Sharing::AdaKv => in_layers(&|layer| ada_kv(layer.saliencies(score), per_head, SAFEGUARD)),
        Sharing::OptimalInLayer => in_layers(&|layer| water_filling(layer.exact(), per_head * layer.heads(), 0)),
        Sharing::PyramidKv => {
            // Nothing is protected here, so no window is set apart.
            let budgets = pyramid_kv(layers.len(), layers[0].tokens(), per_head as f64, 0, SLOPE);
            let pairs = layers.iter().zip(budgets);
            Ok(pairs.map(|(layer, budget)| vec![budget; layer.heads()]).collect())
        }
        Sharing::OptimalInModel => {
            let errors: Vec<Array1<f64>> = layers.iter().flat_map(Layer::exact_over_size).collect();
            let mut budgets = water_filling(&errors, per_head * errors.len(), 0)?.into_iter();
            Ok(layers
                .iter()
                .map(|layer| budgets.by_ref().take(layer.heads()).collect())
                .collect())
        }
    }
}

/// What a shared budget may look at of one layer: its past.
struct Layer {
    /// Of each of [`SCORES`] the saliencies of every KV head, summed over its query heads, shape (tokens) each.
    saliencies: HashMap<Score, Vec<Array1<f64>>>,
    /// Squared norm of the outputs of [`WINDOW`].
    size: f64,
}

impl Layer {
    /// `None` where the split leaves no past or no future.
    fn seen(capture: &Capture, position: usize, future_from: f64) -> Result<Option<Self>, MeasureError> {
        let mut layer = Self {
            saliencies: HashMap::new(),
            size: 0.0,
        };
        for kv_head in 0..capture.groups().num_kv_heads() {
            let mut group = Vec::new();
            for head in capture.groups().query_heads(kv_head) {
                let Some((before, _)) = past(&capture.head(position, head)?, future_from) else {
                    return Ok(None);
                };
                let (head, trace) = attended(before);
                layer.size += oracle::error(&trace.output, WINDOW);
                group.push((head, trace));
            }
            for score in SCORES {
                let sum =
                    |(head, trace): &(Head, AttentionTrace)| accumulate(&score.contributions(head, trace), WINDOW);
                let sums: Vec<Array1<f64>> = group.iter().map(sum).collect();
                let joined = GroupReduction::Sum.reduce(&sums);
                let joined = joined.expect("a group has heads, all over the same tokens");
                layer.saliencies.entry(score).or_default().push(joined);
            }
        }
        Ok(Some(layer))
    }

    /// Of every KV head.
    fn saliencies(&self, score: Score) -> &[Array1<f64>] {
        self.saliencies.get(&score).expect("every score of SCORES is summed")
    }

    fn exact(&self) -> &[Array1<f64>] {
        self.saliencies(Score::Removal)
    }

    fn exact_over_size(&self) -> Vec<Array1<f64>> {
        let size = if self.size > 0.0 { self.size } else { 1.0 };
        self.exact().iter().map(|errors| errors / size).collect()
    }

    fn heads(&self) -> usize {
        self.exact().len()
    }

    fn tokens(&self) -> usize {
        self.exact()[0].len()
    }

    /// Error of every shared budget in this layer, over the squared norm of its output, on the queries after those seen.
    fn errors(&self, capture: &Capture, position: usize, plans: &[SharedBudget]) -> Result<Vec<f64>, MeasureError> {
        let (mut errors, mut size) = (vec![0.0; plans.len()], 0.0);
        for kv_head in 0..self.heads() {
            let heads = capture.groups().query_heads(kv_head);
            let judged: Vec<(Head, AttentionTrace)> = heads
                .map(|head| capture.head(position, head).map(attended))
                .collect::<Result<_, _>>()?;
            for (head, trace) in &judged {
                size += oracle::error(&trace.output, self.future(head));
            }
            for (error, plan) in errors.iter_mut().zip(plans) {
                let saliency = &self.saliencies(plan.score)[kv_head];
                let budget = Budget::Tokens(plan.tokens[position][kv_head]);
                let kept = select(saliency, budget, Protection::default()).map_err(failed(capture))?;
                let gone = evicted(self.tokens(), &kept);
                let of =
                    |(head, trace): &(Head, AttentionTrace)| set::removal_error(head, trace, &gone, self.future(head));
                *error += judged.iter().map(of).sum::<f64>();
            }
        }
        Ok(errors
            .into_iter()
            .map(|error| if size > 0.0 { error / size } else { 0.0 })
            .collect())
    }

    /// The queries after those seen.
    fn future(&self, head: &Head) -> QueryWindow {
        QueryWindow::Last(head.kv_len() - self.tokens())
    }
}

/// A score, a budget and how it is shared.
struct SharedBudget {
    sharing: Sharing,
    score: Score,
    budget: f64,
    /// By layer and KV head.
    tokens: Vec<Vec<usize>>,
}

/// Every way to share with every score at the budgets of the field: one row a layer where the layers keep their totals, and one
/// for the model. Empty where the split leaves no past or no future.
pub(super) fn rows(capture: &Capture, future_from: f64) -> Result<Vec<SharingRegret>, MeasureError> {
    let positions = || (0..capture.layers().len()).into_par_iter();
    let seen = positions()
        .map(|position| Layer::seen(capture, position, future_from))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(layers) = seen.into_iter().collect::<Option<Vec<Layer>>>() else {
        return Ok(Vec::new());
    };
    let shared = shared_budgets(&layers).map_err(failed(capture))?;
    let errors = positions()
        .map(|position| layers[position].errors(capture, position, &shared))
        .collect::<Result<Vec<_>, _>>()?;
    let mean = |place: usize| errors.iter().map(|layer| layer[place]).sum::<f64>() / errors.len() as f64;
    let mut rows = Vec::new();
    for (place, plan) in shared.iter().enumerate() {
        let even = uniform_beside(&shared, plan);
        let row = |layer, error: f64, uniform: f64| SharingRegret {
            capture: capture.name(),
            layer,
            sharing: plan.sharing,
            score: plan.score,
            budget: plan.budget,
            relative_error: error,
            over_uniform: (uniform > 0.0).then(|| error / uniform),
        };
        if plan.sharing.keeps_layers() {
            let layers = capture.layers().iter().zip(&errors);
            rows.extend(layers.map(|(layer, errors)| row(Some(layer.index), errors[place], errors[even])));
        }
        rows.push(row(None, mean(place), mean(even)));
    }
    Ok(rows)
}

/// Place of the uniform budget with the same score and total.
fn uniform_beside(shared: &[SharedBudget], plan: &SharedBudget) -> usize {
    let mut places = shared.iter();
    let even = |other: &SharedBudget| {
        (other.sharing, other.score, other.budget) == (Sharing::Uniform, plan.score, plan.budget)
    };
    places.position(even).expect("every budget is also shared uniformly")
}

/// Every way to share, for every score and budget.
fn shared_budgets(layers: &[Layer]) -> Result<Vec<SharedBudget>, SelectionError> {
    let mut shared = Vec::new();
    for score in SCORES {
        for budget in FIELD_BUDGETS {
            let per_head = Budget::Fraction(budget).tokens(layers[0].tokens())?;
            for &sharing in Sharing::ALL {
                shared.push(SharedBudget {
                    sharing,
                    score,
                    budget,
                    tokens: tokens(sharing, layers, score, per_head)?,
                });
            }
        }
    }
    Ok(shared)
}

fn failed(capture: &Capture) -> impl Fn(SelectionError) -> MeasureError {
    let capture = capture.name();
    move |source| MeasureError::Budgets {
        capture: capture.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Two layers of two KV heads with these exact errors and squared norms; weights all 1, values the heads' number.
    fn layers() -> [Layer; 2] {
        let layer = |exact: [Array1<f64>; 2], size| Layer {
            saliencies: HashMap::from([
                (Score::Weight, vec![array![1.0, 1.0, 1.0, 1.0]; 2]),
                (
                    Score::Value,
                    vec![array![1.0, 1.0, 1.0, 1.0], array![2.0, 2.0, 2.0, 2.0]],
                ),
                (Score::Removal, exact.into()),
            ]),
            size,
        };
        [
            layer([array![9.0, 8.0, 7.0, 0.0], array![6.0, 1.0, 0.0, 0.0]], 1.0),
            layer([array![90.0, 80.0, 50.0, 40.0], array![0.0, 0.0, 0.0, 0.0]], 100.0),
        ]
    }

    #[test]
    fn every_sharing_by_hand() {
        let tokens = |sharing, score| tokens(sharing, &layers(), score, 2).unwrap();
        assert_eq!(tokens(Sharing::Uniform, Score::Weight), [[2, 2], [2, 2]]);
        // By the value score the second head takes all but the safeguard, 0.2 of 2 and so 1.
        assert_eq!(tokens(Sharing::AdaKv, Score::Value), [[1, 3], [1, 3]]);
        assert_eq!(tokens(Sharing::AdaKv, Score::Removal), [[3, 1], [3, 1]]);
        assert_eq!(tokens(Sharing::OptimalInLayer, Score::Weight), [[3, 1], [4, 0]]);
        // Least 2/20, most 4 - 1/10.
        assert_eq!(tokens(Sharing::PyramidKv, Score::Weight), [[4, 4], [0, 0]]);
        // 9, 8, 7, 6, 1 over 1, then 90, 80, 50 over 100.
        assert_eq!(tokens(Sharing::OptimalInModel, Score::Weight), [[3, 2], [3, 0]]);
    }

    #[test]
    fn every_budget_is_compared_with_its_uniform_one() {
        let shared = shared_budgets(&layers()).unwrap();
        assert_eq!(shared.len(), SCORES.len() * FIELD_BUDGETS.len() * Sharing::ALL.len());
        for plan in &shared {
            let even = &shared[uniform_beside(&shared, plan)];
            assert_eq!(even.sharing, Sharing::Uniform);
            assert_eq!((even.score, even.budget), (plan.score, plan.budget));
        }
    }
}
