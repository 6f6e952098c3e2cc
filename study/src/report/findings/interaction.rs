//! How the errors of single tokens add up, and the condition under which ranking by them would do (claims C37, C38).

use obcache_scores::Score;

use crate::measure::{Interaction, Measurements, MissingCell};
use crate::names::{Column, Statistic};
use crate::report::words::mean;

/// One sentence on each number of the table.
pub(super) fn sentence(measurements: &Measurements) -> Result<String, MissingCell> {
    let of = |statistic| {
        let cell = measurements
            .means
            .cell(Column::interaction(statistic, 0.2), Score::Removal)?;
        Ok(mean(cell))
    };
    // A head that evicts no pair of tokens has no cosine, and the condition says nothing about it.
    let held = |row: &&Interaction| row.least_cosine_evicted.is_some_and(|cosine| cosine > 0.0);
    let heads = measurements.interactions.len();
    let held = measurements.interactions.iter().filter(held).count();
    Ok(format!(
        "Ranking tokens by their own exact error (20 % kept, in-window) leaves {} times the least error known. The set's error is {} times the sum \
         of its tokens' errors, and {} times its first-order error, which does not renormalise. The tokens that greedy removal evicts between 50 and 40 % kept add \
         one by one {} of what they add together. Such a ranking is within a constant factor of the best set if v - o of the evicted tokens lie in \
         a cone; this condition holds on {held} of {heads} heads, and {} of the pairs are opposed.",
        of(Statistic::OverBest)?,
        of(Statistic::OverSum)?,
        of(Statistic::Renormalisation)?,
        of(Statistic::Submodularity)?,
        of(Statistic::Opposed)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn every_number_is_needed() {
        let statistics = [
            Statistic::OverBest,
            Statistic::OverSum,
            Statistic::Renormalisation,
            Statistic::Submodularity,
            Statistic::Opposed,
        ];
        let numbers = [1.1, 2.2, 3.3, 4.4, 0.5];
        let rows: Vec<_> = statistics
            .into_iter()
            .zip(numbers)
            .map(|(statistic, mean)| row(Column::interaction(statistic, 0.2), Score::Removal, mean))
            .collect();
        let text = sentence(&measured(rows.clone())).unwrap();
        for part in [
            "leaves 1.10 [1.00, 1.20] times the least",
            "is 2.20 [2.10, 2.30] times the sum",
            "and 3.30 [3.20, 3.40] times its first-order",
            "one by one 4.40 [4.30, 4.50] of",
            "on 0 of 0 heads, and 0.50 [0.40, 0.60] of the pairs",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        for place in 0..rows.len() {
            let mut rows = rows.clone();
            let gone = rows.remove(place);
            let missing = sentence(&measured(rows)).unwrap_err();
            assert_eq!(missing.column, gone.column().to_string());
        }
    }
}
