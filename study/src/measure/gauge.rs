//! The gauge on real data: one vector added to all keys changes no output, and yet the key score's ranking (claim C14).

use std::collections::HashMap;

use ndarray::Array1;
use obcache_scores::Score;
use obd_core::{Head, Perturbation, ProblemError, QueryWindow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::contributions::{Contributions, Sums};
use super::rows::HeadId;
use crate::agreement::{Interval, bootstrap, spearman};
use crate::names::Quantity;

/// Seed of the direction of the shift (ChaCha8).
const SEED: u64 = 14;

/// The same head with one vector, as long as the mean key, added to all keys.
fn shifted(head: &Head) -> Result<Head, ProblemError> {
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let direction = Array1::from_shape_fn(head.head_dim(), |_| generator.random_range(-1.0..1.0));
    let norm = |row: &Array1<f64>| row.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mean_norm = head
        .key()
        .rows()
        .into_iter()
        .map(|key| norm(&key.to_owned()))
        .sum::<f64>()
        / head.kv_len() as f64;
    let shift = &direction * (mean_norm / norm(&direction));
    head.shift_keys(&shift)
}

/// What a shift of all keys does to the order of the tokens by one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyShift {
    /// Score or error.
    pub quantity: Quantity,
    /// Spearman's correlation of the order before and after, over the heads; `None` where no head has one.
    pub spearman: Option<Interval>,
}

/// Numbers of every token of one head before and after the shift of all keys.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeExample {
    /// Which head.
    pub id: HeadId,
    /// Key saliency before and after, shape (kv_len) each.
    pub key: (Vec<f64>, Vec<f64>),
    /// Joint saliency before and after, shape (kv_len) each.
    pub joint: (Vec<f64>, Vec<f64>),
    /// True error of removal before and after, shape (kv_len) each.
    pub removal: (Vec<f64>, Vec<f64>),
}

/// Spearman's correlation of the order by each of [`quantities`] before and after the shift; `None` where one order is constant.
pub(super) type Correlations = HashMap<Quantity, Option<f64>>;

/// Every score, and the true error of removal.
fn quantities() -> impl Iterator<Item = Quantity> {
    let scores = Score::ALL.into_iter().map(Quantity::Score);
    scores.chain([Quantity::Error(Perturbation::Removal)])
}

/// The correlations of one head, all queries in the window. Claim C14.
pub(super) fn correlations(head: &Head) -> Result<Correlations, ProblemError> {
    let (before, after) = (sums(head), sums(&shifted(head)?));
    let correlation = |quantity| spearman(&before.of(quantity).to_vec(), &after.of(quantity).to_vec());
    Ok(quantities().map(|quantity| (quantity, correlation(quantity))).collect())
}

fn sums(head: &Head) -> Sums {
    Contributions::of(head).sums(QueryWindow::All)
}

/// The correlations of all heads, quantity by quantity.
pub(super) fn shifts(heads: &[Correlations]) -> Vec<KeyShift> {
    let shift = |quantity| KeyShift {
        quantity,
        spearman: bootstrap(&heads.iter().filter_map(|head| head[&quantity]).collect::<Vec<f64>>()),
    };
    quantities().map(shift).collect()
}

/// Place of the head whose key score changes its order most; `None` where there is no head.
pub(super) fn most_moved(heads: &[Correlations]) -> Option<usize> {
    // A constant score has no correlation and no order that could change.
    let correlation = |place: usize| heads[place][&Quantity::Score(Score::Key)].unwrap_or(1.0);
    (0..heads.len()).min_by(|&a, &b| correlation(a).total_cmp(&correlation(b)))
}

/// The numbers of one head before and after the shift.
pub(super) fn example(id: &HeadId, head: &Head) -> Result<GaugeExample, ProblemError> {
    let (before, after) = (sums(head), sums(&shifted(head)?));
    let pair = |quantity| (before.of(quantity).to_vec(), after.of(quantity).to_vec());
    Ok(GaugeExample {
        id: id.clone(),
        key: pair(Quantity::Score(Score::Key)),
        joint: pair(Quantity::Score(Score::Joint)),
        removal: pair(Quantity::Error(Perturbation::Removal)),
    })
}
