//! Budgets across heads and layers: what each allocation costs with each score on future queries.
//!
//! A score sees the last queries before a position; every KV head evicts for all query heads that read it, as in the field. An
//! allocation that keeps a layer's total is judged layer by layer, and every one by the whole model.

use capture::Capture;
use ndarray::Array1;
use obcache_scores::allocation::{ada_kv, pyramid_kv, uniform, water_filling};
use obcache_scores::{Budget, GroupReduction, Protection, Score, SelectionError, accumulate, evicted, select, set};
use obd_core::{AttentionTrace, Head, QueryWindow};
use rayon::prelude::*;
use reference_attention::oracle;

use super::rows::AllocationRegret;
use super::split::{attended, past};
use super::{FIELD_BUDGETS, MeasureError};

/// The queries that a score sees, as SnapKV's votes in the field, and their name.
const WINDOW: QueryWindow = QueryWindow::Last(32);
pub(crate) const WINDOW_NAME: &str = "last-32";

/// The scores under every allocation: SnapKV's votes, the paper's value score, and the exact error.
pub(crate) const SCORES: [Score; 3] = [Score::Weight, Score::Value, Score::Removal];

/// Place of the exact error in [`SCORES`].
const EXACT: usize = 2;

/// Share of the uniform budget that AdaKV leaves to every head, and slope of PyramidKV: those of their papers.
const SAFEGUARD: f64 = 0.2;
const SLOPE: f64 = 20.0;

/// How a budget is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// Every KV head keeps the same.
    Uniform,
    /// The KV heads of a layer compete by the score, with a safeguard.
    AdaKv,
    /// Water-filling on exact errors among the KV heads of a layer.
    OptimalInLayer,
    /// Early layers keep more.
    PyramidKv,
    /// Water-filling on exact errors among all KV heads, each over the squared norm of its layer's output.
    OptimalInModel,
}

impl Allocation {
    /// All, in the order of the tables.
    pub const ALL: [Self; 5] = [
        Self::Uniform,
        Self::AdaKv,
        Self::OptimalInLayer,
        Self::PyramidKv,
        Self::OptimalInModel,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::AdaKv => "ada-kv",
            Self::OptimalInLayer => "optimal in layer",
            Self::PyramidKv => "pyramid-kv",
            Self::OptimalInModel => "optimal in model",
        }
    }

    /// Whether every layer keeps as much as under the uniform allocation.
    fn keeps_layers(self) -> bool {
        matches!(self, Self::Uniform | Self::AdaKv | Self::OptimalInLayer)
    }

    /// Tokens that every KV head of every layer keeps under the score in this place of [`SCORES`], `per_head` on average.
    fn tokens(self, layers: &[Layer], score: usize, per_head: usize) -> Result<Vec<Vec<usize>>, SelectionError> {
        let in_layers =
            |share: &dyn Fn(&Layer) -> Result<Vec<usize>, SelectionError>| layers.iter().map(share).collect();
        match self {
            Self::Uniform => in_layers(&|layer| Ok(uniform(per_head * layer.heads(), layer.heads()))),
            Self::AdaKv => in_layers(&|layer| ada_kv(&layer.saliencies[score], per_head, SAFEGUARD)),
            Self::OptimalInLayer => in_layers(&|layer| water_filling(layer.exact(), per_head * layer.heads(), 0)),
            Self::PyramidKv => {
                // Nothing is protected here, so no window is set apart.
                let budgets = pyramid_kv(layers.len(), layers[0].tokens(), per_head as f64, 0, SLOPE);
                let pairs = layers.iter().zip(budgets);
                Ok(pairs.map(|(layer, budget)| vec![budget; layer.heads()]).collect())
            }
            Self::OptimalInModel => {
                let errors: Vec<Array1<f64>> = layers.iter().flat_map(Layer::exact_over_size).collect();
                let mut budgets = water_filling(&errors, per_head * errors.len(), 0)?.into_iter();
                Ok(layers
                    .iter()
                    .map(|layer| budgets.by_ref().take(layer.heads()).collect())
                    .collect())
            }
        }
    }
}

/// What an allocation may look at of one layer: its past.
struct Layer {
    /// Of each of [`SCORES`] the saliencies of every KV head, summed over its query heads, shape (tokens) each.
    saliencies: [Vec<Array1<f64>>; SCORES.len()],
    /// Squared norm of the outputs of [`WINDOW`].
    size: f64,
}

impl Layer {
    /// `None` where the split leaves no past or no future.
    fn seen(capture: &Capture, position: usize, future_from: f64) -> Result<Option<Self>, MeasureError> {
        let mut layer = Self {
            saliencies: Default::default(),
            size: 0.0,
        };
        for kv_head in 0..capture.groups().num_kv_heads() {
            let mut sums: [Vec<Array1<f64>>; SCORES.len()] = Default::default();
            for head in capture.groups().query_heads(kv_head) {
                let Some((before, _)) = past(&capture.head(position, head)?, future_from) else {
                    return Ok(None);
                };
                let (head, trace) = attended(before);
                layer.size += oracle::error(&trace.output, WINDOW);
                for (sums, score) in sums.iter_mut().zip(SCORES) {
                    sums.push(accumulate(&score.contributions(&head, &trace), WINDOW));
                }
            }
            for (saliencies, sums) in layer.saliencies.iter_mut().zip(&sums) {
                saliencies.extend(GroupReduction::Sum.reduce(sums));
            }
        }
        Ok(Some(layer))
    }

    fn exact(&self) -> &[Array1<f64>] {
        &self.saliencies[EXACT]
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

    /// Error of every plan in this layer, over the squared norm of its output, on the queries after those seen.
    fn errors(&self, capture: &Capture, position: usize, plans: &[Plan]) -> Result<Vec<f64>, MeasureError> {
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
                let saliency = &self.saliencies[plan.score][kv_head];
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
struct Plan {
    allocation: Allocation,
    /// Place in [`SCORES`].
    score: usize,
    budget: f64,
    /// By layer and KV head.
    tokens: Vec<Vec<usize>>,
}

/// Every allocation with every score at the budgets of the field: one row a layer where the layers keep their totals, and one
/// for the model. Empty where the split leaves no past or no future.
pub(super) fn rows(capture: &Capture, future_from: f64) -> Result<Vec<AllocationRegret>, MeasureError> {
    let positions = || (0..capture.layers().len()).into_par_iter();
    let seen = positions()
        .map(|position| Layer::seen(capture, position, future_from))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(layers) = seen.into_iter().collect::<Option<Vec<Layer>>>() else {
        return Ok(Vec::new());
    };
    let plans = plans(&layers).map_err(failed(capture))?;
    let errors = positions()
        .map(|position| layers[position].errors(capture, position, &plans))
        .collect::<Result<Vec<_>, _>>()?;
    let mean = |plan: usize| errors.iter().map(|layer| layer[plan]).sum::<f64>() / errors.len() as f64;
    let mut rows = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        let even = place - plan.allocation as usize;
        let row = |layer, error: f64, uniform: f64| AllocationRegret {
            capture: capture.name(),
            layer,
            allocation: plan.allocation.name().to_owned(),
            score: SCORES[plan.score].name().to_owned(),
            budget: plan.budget,
            relative_error: error,
            over_uniform: (uniform > 0.0).then(|| error / uniform),
        };
        if plan.allocation.keeps_layers() {
            let layers = capture.layers().iter().zip(&errors);
            rows.extend(layers.map(|(layer, errors)| row(Some(layer.index), errors[place], errors[even])));
        }
        rows.push(row(None, mean(place), mean(even)));
    }
    Ok(rows)
}

/// The allocations of one score and budget stand together, in the order of [`Allocation::ALL`].
fn plans(layers: &[Layer]) -> Result<Vec<Plan>, SelectionError> {
    let mut plans = Vec::new();
    for score in 0..SCORES.len() {
        for budget in FIELD_BUDGETS {
            let per_head = Budget::Fraction(budget).tokens(layers[0].tokens())?;
            for allocation in Allocation::ALL {
                plans.push(Plan {
                    allocation,
                    score,
                    budget,
                    tokens: allocation.tokens(layers, score, per_head)?,
                });
            }
        }
    }
    Ok(plans)
}

fn failed(capture: &Capture) -> impl Fn(SelectionError) -> MeasureError {
    let capture = capture.name();
    move |source| MeasureError::Allocation {
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
            saliencies: [
                vec![array![1.0, 1.0, 1.0, 1.0]; 2],
                vec![array![1.0, 1.0, 1.0, 1.0], array![2.0, 2.0, 2.0, 2.0]],
                exact.into(),
            ],
            size,
        };
        [
            layer([array![9.0, 8.0, 7.0, 0.0], array![6.0, 1.0, 0.0, 0.0]], 1.0),
            layer([array![90.0, 80.0, 50.0, 40.0], array![0.0, 0.0, 0.0, 0.0]], 100.0),
        ]
    }

    #[test]
    fn every_allocation_by_hand() {
        let tokens = |allocation: Allocation, score| allocation.tokens(&layers(), score, 2).unwrap();
        assert_eq!(tokens(Allocation::Uniform, 0), [[2, 2], [2, 2]]);
        // By the value score the second head takes all but the safeguard, 0.2 of 2 and so 1.
        assert_eq!(tokens(Allocation::AdaKv, 1), [[1, 3], [1, 3]]);
        assert_eq!(tokens(Allocation::AdaKv, EXACT), [[3, 1], [3, 1]]);
        assert_eq!(tokens(Allocation::OptimalInLayer, 0), [[3, 1], [4, 0]]);
        // Least 2/20, most 4 - 1/10.
        assert_eq!(tokens(Allocation::PyramidKv, 0), [[4, 4], [0, 0]]);
        // 9, 8, 7, 6, 1 over 1, then 90, 80, 50 over 100.
        assert_eq!(tokens(Allocation::OptimalInModel, 0), [[3, 2], [3, 0]]);
    }

    #[test]
    fn plans_stand_beside_their_uniform_one() {
        let plans = plans(&layers()).unwrap();
        assert_eq!(plans.len(), SCORES.len() * FIELD_BUDGETS.len() * Allocation::ALL.len());
        for (place, plan) in plans.iter().enumerate() {
            let even = &plans[place - plan.allocation as usize];
            assert_eq!(even.allocation, Allocation::Uniform);
            assert_eq!((even.score, even.budget), (plan.score, plan.budget));
        }
    }
}
