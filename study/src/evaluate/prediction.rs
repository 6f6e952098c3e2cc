//! What a model predicts, and how far it is from what it predicts with its whole cache.

use ndarray::{Array2, ArrayView1};

/// Log-probabilities of the next token, shape (steps, vocabulary), and what really came next.
pub(super) struct Predictions {
    log_probabilities: Array2<f64>,
    targets: Vec<u32>,
}

/// How a thinned cache predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    /// Whether every target is the most probable token.
    pub correct: bool,
    /// Mean negative log-probability of the targets, in nats.
    pub loss: f64,
    /// Mean divergence of the predictions from those with the whole cache, in nats.
    pub divergence: f64,
    /// Share of the steps whose most probable token is that of the whole cache.
    pub agreement: f64,
}

impl Predictions {
    /// From the logits of the steps before each target.
    pub fn new(logits: Array2<f32>, targets: &[u32]) -> Self {
        let mut log_probabilities = logits.mapv(f64::from);
        for mut row in log_probabilities.rows_mut() {
            let largest = row.fold(f64::NEG_INFINITY, |most, &x| most.max(x));
            let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
            row -= largest + sum.ln();
        }
        Self {
            log_probabilities,
            targets: targets.to_vec(),
        }
    }

    /// These predictions beside those of the whole cache. Claim C42.
    pub fn judged(&self, full: &Self) -> Judged {
        let steps = self.targets.len() as f64;
        let rows = || {
            self.log_probabilities
                .rows()
                .into_iter()
                .zip(full.log_probabilities.rows())
        };
        let losses = self
            .log_probabilities
            .rows()
            .into_iter()
            .zip(&self.targets)
            .map(|(row, &target)| -row[target as usize]);
        let agreed = rows()
            .filter(|(row, full)| best(row.view()) == best(full.view()))
            .count();
        let right = self.log_probabilities.rows().into_iter().zip(&self.targets);
        Judged {
            correct: right.clone().all(|(row, &target)| best(row) == target as usize),
            loss: losses.sum::<f64>() / steps,
            // At least 0 in exact arithmetic.
            divergence: (rows().map(|(row, full)| divergence(full, row)).sum::<f64>() / steps).max(0.0),
            agreement: agreed as f64 / steps,
        }
    }
}

fn divergence(from: ArrayView1<f64>, to: ArrayView1<f64>) -> f64 {
    from.iter().zip(to).map(|(from, to)| from.exp() * (from - to)).sum()
}

fn best(row: ArrayView1<f64>) -> usize {
    let largest = row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    largest.expect("a vocabulary has tokens").0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Probabilities 3/4, 1/4 against 1/2, 1/2.
        let full = Predictions::new(array![[3f32.ln(), 0.0]], &[0]);
        let thin = Predictions::new(array![[7.0, 7.0]], &[0]);
        let judged = thin.judged(&full);
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((judged.divergence - expected).abs() < 1e-7 && (judged.loss - 2f64.ln()).abs() < 1e-12);
        // Of equals the last counts as the most probable.
        assert_eq!((judged.correct, judged.agreement), (false, 0.0));
        let same = full.judged(&full);
        assert_eq!((same.correct, same.divergence, same.agreement), (true, 0.0, 1.0));
    }
}
