//! How sure a mean over heads is: the percentile bootstrap.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use statrs::statistics::{Data, OrderStatistics};

/// Resamples drawn for an interval: the 2.5 % quantile then rests on 25 of them.
const RESAMPLES: usize = 1000;

/// Seed of the resampling generator (ChaCha8), the same for every interval.
const SEED: u64 = 0x0bca_c4e0;

/// A mean with its 95 % bootstrap confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Interval {
    /// Mean over the heads.
    pub mean: f64,
    /// 2.5 % quantile of the resampled means.
    pub low: f64,
    /// 97.5 % quantile of the resampled means.
    pub high: f64,
    /// Heads that the mean is taken over.
    pub heads: usize,
}

/// Mean of `values`, one a head, with the interval that resampling heads gives; `None` for no value.
///
/// Heads of all captures and layers are resampled as if they were independent; heads of one document are not, so the
/// interval speaks of these heads, and less of other documents.
pub fn bootstrap(values: &[f64]) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let mut means = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let sum: f64 = (0..values.len())
            .map(|_| values[generator.random_range(0..values.len())])
            .sum();
        means.push(sum / values.len() as f64);
    }
    let mut means = Data::new(means);
    Some(Interval {
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: means.quantile(0.025),
        high: means.quantile(0.975),
        heads: values.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_leave_no_doubt() {
        let interval = bootstrap(&[2.0; 5]).unwrap();
        assert_eq!(
            (interval.mean, interval.low, interval.high, interval.heads),
            (2.0, 2.0, 2.0, 5)
        );
        assert_eq!(bootstrap(&[]), None);
    }

    #[test]
    fn the_interval_is_that_of_the_normal_theory() {
        // 0..100: standard deviation 28.87, standard error 2.887, half width 1.96 of it = 5.66; 1000 resamples
        // place a quantile within some 10 % of that.
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let interval = bootstrap(&values).unwrap();
        assert_eq!(interval.mean, 49.5);
        assert!((interval.high - interval.mean - 5.66).abs() < 0.6, "{interval:?}");
        assert!((interval.mean - interval.low - 5.66).abs() < 0.6, "{interval:?}");
    }
}
