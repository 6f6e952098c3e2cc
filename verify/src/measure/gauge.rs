//! The gauge on real data: one vector added to all keys changes no output, and yet the key score's ranking (claim C14).

use ndarray::Array1;
use obcache_scores::Score;
use obd_core::{Head, Perturbation, ProblemError, QueryWindow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ranking::Contributions;
use crate::agreement::spearman;

/// Seed of the direction of the shift (ChaCha8).
const SEED: u64 = 14;

/// The same head with one vector, as long as the mean key, added to all keys.
pub(super) fn shifted(head: &Head) -> Result<Head, ProblemError> {
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
    let mut moved = head.clone();
    for token in 0..head.kv_len() {
        moved = moved.replace_key(token, &head.key().row(token) + &shift, |x| *x)?;
    }
    Ok(moved)
}

/// Names of what [`rankings`] ranks.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = Score::ALL.map(|score| score.name().to_owned()).into();
    names.push("error of removal".to_owned());
    names
}

/// Every score's saliency and the true error of removal, over all queries.
pub(super) fn rankings(head: &Head) -> Vec<Array1<f64>> {
    let sums = Contributions::of(head).sums(QueryWindow::All);
    let mut rankings = sums.scores;
    let truths = Perturbation::ALL.into_iter().zip(sums.truths);
    let removal = truths.filter(|(what, _)| *what == Perturbation::Removal);
    rankings.extend(removal.map(|(_, errors)| errors));
    rankings
}

/// Spearman's correlation of each ranking of [`names`] before and after the shift.
pub(super) fn correlations(head: &Head) -> Result<Vec<Option<f64>>, ProblemError> {
    let (before, after) = (rankings(head), rankings(&shifted(head)?));
    Ok(before
        .iter()
        .zip(&after)
        .map(|(a, b)| spearman(&a.to_vec(), &b.to_vec()))
        .collect())
}
