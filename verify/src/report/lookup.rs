//! Means by what they are means of.

use crate::measure::{Measurements, PROTECTIONS, Summary, allocation};

/// Which mean is wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub statistic: &'a str,
    pub window: &'a str,
    pub queries: &'a str,
    pub truth: &'a str,
    /// Protection and budget of a selection; `None` where there is no selection.
    pub selection: Option<(&'a str, f64)>,
}

impl<'a> Wanted<'a> {
    /// Spearman's correlation with a truth.
    pub fn rank_agreement(window: &'a str, queries: &'a str, truth: &'a str) -> Self {
        Self {
            statistic: "spearman",
            window,
            queries,
            truth,
            selection: None,
        }
    }

    /// Error over that of the exact single-token oracle without protection.
    pub fn regret(window: &'a str, queries: &'a str, protection: &'a str, budget: f64) -> Self {
        Self {
            statistic: "over_oracle",
            window,
            queries,
            truth: "removal",
            selection: Some((protection, budget)),
        }
    }

    /// Error over that of greedy exact removal without protection.
    pub fn over_greedy(window: &'a str, queries: &'a str, protection: &'a str, budget: f64) -> Self {
        Self {
            statistic: "over_greedy",
            ..Self::regret(window, queries, protection, budget)
        }
    }

    /// Error of a KV head over that of the exact single-token oracle, of a score of the field.
    pub fn field(budget: f64) -> Self {
        Self {
            statistic: "field_over_oracle",
            ..Self::regret("own", "future", "none", budget)
        }
    }

    /// Error over that of the uniform budget with the same score, `layer_over_uniform` or `model_over_uniform`.
    pub fn allocation(statistic: &'a str, budget: f64) -> Self {
        Self {
            statistic,
            ..Self::regret(allocation::WINDOW_NAME, "future", PROTECTIONS[0], budget)
        }
    }

    /// Error over the squared norm of the output: the one that can be compared across windows.
    pub fn relative_error(window: &'a str, queries: &'a str, protection: &'a str, budget: f64) -> Self {
        Self {
            statistic: "relative_error",
            ..Self::regret(window, queries, protection, budget)
        }
    }

    /// Error with the Surgeon's update over that without.
    pub fn compensation(window: &'a str, queries: &'a str, protection: &'a str, budget: f64) -> Self {
        Self {
            statistic: "compensation",
            ..Self::regret(window, queries, protection, budget)
        }
    }

    fn fits(&self, row: &Summary) -> bool {
        let selection = row.protection.as_deref().zip(row.budget);
        row.statistic == self.statistic
            && row.window == self.window
            && row.queries == self.queries
            && row.truth == self.truth
            && selection == self.selection
    }

    /// The means of all scores.
    pub fn all(self, measurements: &'a Measurements) -> Vec<&'a Summary> {
        measurements.summaries.iter().filter(|row| self.fits(row)).collect()
    }

    /// The mean of one score.
    pub fn of(self, measurements: &'a Measurements, score: &str) -> Option<&'a Summary> {
        let mut rows = measurements.summaries.iter();
        rows.find(|row| row.score == score && self.fits(row))
    }
}

/// A mean with its interval, as in `0.96 [0.94, 0.98]`; far from 1 in powers of ten.
pub(super) fn interval(row: &Summary) -> String {
    let share = row.statistic == "relative_error";
    let number = |x: f64| match x.abs() {
        0.0 => "0".to_owned(),
        small if small < 1e-12 => "0 up to rounding".to_owned(),
        small if share && small < 0.05 => format!("{x:.4}"),
        small if small < 0.005 && row.mean < 0.005 && row.budget.is_some() => format!("{x:.0e}"),
        large if large >= 1e4 => format!("{x:.0e}"),
        _ => format!("{x:.2}"),
    };
    if row.high.abs() < 1e-12 {
        return number(row.high);
    }
    format!("{} [{}, {}]", number(row.mean), number(row.low), number(row.high))
}

/// The score's name and its mean.
pub(super) fn show(row: &Summary) -> String {
    format!("{} {}", row.score, interval(row))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn row(wanted: Wanted, score: &str, mean: f64) -> Summary {
        Summary {
            statistic: wanted.statistic.to_owned(),
            window: wanted.window.to_owned(),
            queries: wanted.queries.to_owned(),
            score: score.to_owned(),
            truth: wanted.truth.to_owned(),
            protection: wanted.selection.map(|selection| selection.0.to_owned()),
            budget: wanted.selection.map(|selection| selection.1),
            mean,
            low: mean - 0.1,
            high: mean + 0.1,
            heads: 9,
        }
    }

    pub fn measured(summaries: Vec<Summary>) -> Measurements {
        Measurements {
            agreements: Vec::new(),
            regrets: Vec::new(),
            compensated: Vec::new(),
            spectra: Vec::new(),
            interactions: Vec::new(),
            projections: Vec::new(),
            field: Vec::new(),
            allocations: Vec::new(),
            summaries,
            tokens: Vec::new(),
            phi_points: Vec::new(),
            oracle_gap: 0.0,
            gauge: Vec::new(),
            gauge_example: None,
        }
    }

    #[test]
    fn protections_and_budgets_are_not_confused() {
        let wanted = |protection| Wanted::regret("all", "future", protection, 0.2);
        let measurements = measured(vec![
            row(wanted("none"), "key", 2.0),
            row(wanted("sinks-and-recent"), "key", 0.5),
        ]);
        let mean = |wanted: Wanted| wanted.of(&measurements, "key").map(|row| row.mean);
        assert_eq!(mean(wanted("none")), Some(2.0));
        assert_eq!(mean(wanted("sinks-and-recent")), Some(0.5));
        assert_eq!(mean(Wanted::regret("all", "future", "none", 0.5)), None);
    }

    #[test]
    fn intervals_read_well_at_every_size() {
        let with = |mean: f64, low: f64, high: f64| {
            let row = row(Wanted::regret("all", "future", "none", 0.2), "key", mean);
            interval(&Summary { low, high, ..row })
        };
        assert_eq!(with(0.5, 0.25, 0.75), "0.50 [0.25, 0.75]");
        assert_eq!(with(2e16, 3e12, 6e19), "2e16 [3e12, 6e19]");
        assert_eq!(with(2e-29, 1e-29, 3e-29), "0 up to rounding");
    }
}
