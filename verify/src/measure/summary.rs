//! Means over the heads, with their confidence.

use std::collections::BTreeMap;

use super::rows::{
    Agreement, AllocationRegret, Compensated, FieldRegret, Interaction, Projection, Regret, Spectrum, Summary,
};
use super::{BUDGETS, PROTECTIONS, allocation};
use crate::agreement::bootstrap;

/// What a mean belongs to; its order is that of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    statistic: &'static str,
    window: String,
    queries: String,
    score: String,
    truth: &'static str,
    /// Places in [`PROTECTIONS`] and [`BUDGETS`].
    selection: Option<(usize, usize)>,
}

/// The statistics whose mean is geometric.
const RATIOS: [&str; 11] = [
    "over_oracle",
    "over_greedy",
    "field_over_oracle",
    "layer_over_uniform",
    "model_over_uniform",
    "relative_error",
    "compensation",
    "projected_ratio",
    "over_best",
    "over_sum",
    "renormalisation",
];

/// The values behind each mean.
#[derive(Default)]
pub(super) struct Cells(BTreeMap<Key, Vec<f64>>);

impl Cells {
    fn add(&mut self, key: Key, value: Option<f64>) {
        let values = self.0.entry(key.clone()).or_default();
        values.extend(if RATIOS.contains(&key.statistic) {
            value.filter(|&ratio| ratio > 0.0).map(f64::ln)
        } else {
            value
        });
    }

    /// Agreement of scores and truths.
    pub fn agreements(&mut self, rows: &[Agreement]) {
        for row in rows {
            let truth = obd_core::Perturbation::ALL.map(obd_core::Perturbation::name);
            let truth = truth.into_iter().find(|truth| *truth == row.truth).unwrap_or("");
            for (statistic, value) in [
                ("spearman", row.spearman),
                ("kendall", row.kendall),
                ("log_pearson", row.log_pearson),
                ("overlap_05", row.overlap_05),
                ("overlap_10", row.overlap_10),
                ("overlap_20", row.overlap_20),
                ("overlap_50", row.overlap_50),
            ] {
                let key = key(statistic, (&row.window, &row.queries), &row.score, truth, None);
                self.add(key, value);
            }
        }
    }

    /// Regret of selections.
    pub fn regrets(&mut self, rows: &[Regret]) {
        for row in rows {
            let selection = selection(&row.protection, row.budget);
            for (statistic, ratio) in [
                ("over_oracle", row.over_oracle),
                ("over_greedy", row.over_greedy),
                ("relative_error", Some(row.relative_error)),
            ] {
                let key = key(statistic, (&row.window, &row.queries), &row.score, "removal", selection);
                self.add(key, ratio);
            }
        }
    }

    /// What the Surgeon's update buys.
    pub fn compensations(&mut self, rows: &[Compensated]) {
        for row in rows {
            let selection = selection(&row.protection, row.budget);
            let queries = (row.window.as_str(), row.queries.as_str());
            self.add(
                key("compensation", queries, &row.score, "removal", selection),
                row.ratio,
            );
        }
    }

    /// Effective ranks.
    pub fn spectra(&mut self, rows: &[Spectrum]) {
        for row in rows {
            let key = key("effective_rank", (&row.window, "in-window"), "", "removal", None);
            self.add(key, Some(row.effective_rank));
        }
    }

    /// How single errors add up, for the ranking by the exact single-token error.
    pub fn interactions(&mut self, rows: &[Interaction]) {
        for row in rows {
            for (statistic, value) in [
                ("over_best", row.over_best),
                ("over_sum", row.over_sum),
                ("renormalisation", row.renormalisation),
                ("submodularity", row.submodularity),
                ("opposed", row.opposed),
            ] {
                let selection = selection(PROTECTIONS[0], row.budget);
                self.add(
                    key(statistic, ("all", "in-window"), "removal", "removal", selection),
                    value,
                );
            }
        }
    }

    /// Agreement and ratio behind the output projection.
    pub fn projections(&mut self, rows: &[Projection]) {
        for row in rows {
            let score = format!("{}, {}", row.score, row.reduction);
            for (statistic, value) in [("projected_spearman", row.spearman), ("projected_ratio", row.ratio)] {
                let queries = (row.window.as_str(), "in-window");
                self.add(key(statistic, queries, &score, "removal behind W_O", None), value);
            }
        }
    }

    /// Regret of the field's scores, each with its own window.
    pub fn field(&mut self, rows: &[FieldRegret]) {
        for row in rows {
            let Some(selection) = row.budget.map(|budget| selection(PROTECTIONS[0], budget)) else {
                continue;
            };
            let key = key("field_over_oracle", ("own", "future"), &row.score, "removal", selection);
            self.add(key, row.over_oracle);
        }
    }

    /// What allocations cost, over the uniform one: layer by layer, and capture by capture.
    pub fn allocations(&mut self, rows: &[AllocationRegret]) {
        for row in rows {
            let statistic = match row.layer {
                Some(_) => "layer_over_uniform",
                None => "model_over_uniform",
            };
            let score = format!("{}, {}", row.score, row.allocation);
            let queries = (allocation::WINDOW_NAME, "future");
            let selection = selection(PROTECTIONS[0], row.budget);
            self.add(key(statistic, queries, &score, "removal", selection), row.over_uniform);
        }
    }

    /// One row a mean.
    pub fn means(self) -> Vec<Summary> {
        let rows = self.0.into_iter();
        rows.filter_map(|(key, values)| row(key, &values)).collect()
    }
}

fn key(
    statistic: &'static str,
    (window, queries): (&str, &str),
    score: &str,
    truth: &'static str,
    selection: Option<(usize, usize)>,
) -> Key {
    Key {
        statistic,
        window: window.to_owned(),
        queries: queries.to_owned(),
        score: score.to_owned(),
        truth,
        selection,
    }
}

fn selection(protection: &str, budget: f64) -> Option<(usize, usize)> {
    let protection = PROTECTIONS.iter().position(|&other| other == protection)?;
    Some((protection, BUDGETS.iter().position(|&other| other == budget)?))
}

/// Ratios come as logarithms and leave as geometric means.
fn row(key: Key, values: &[f64]) -> Option<Summary> {
    let interval = bootstrap(values)?;
    let ratio = RATIOS.contains(&key.statistic);
    let back = |value: f64| if ratio { value.exp() } else { value };
    Some(Summary {
        statistic: key.statistic.to_owned(),
        window: key.window,
        queries: key.queries,
        score: key.score,
        truth: key.truth.to_owned(),
        protection: key.selection.map(|(protection, _)| PROTECTIONS[protection].to_owned()),
        budget: key.selection.map(|(_, budget)| BUDGETS[budget]),
        mean: back(interval.mean),
        low: back(interval.low),
        high: back(interval.high),
        heads: interval.heads,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_models_are_averaged_apart() {
        let regret = |layer, ratio: f64| AllocationRegret {
            capture: "a".to_owned(),
            layer,
            allocation: "ada-kv".to_owned(),
            score: "value".to_owned(),
            budget: 0.2,
            relative_error: 1.0,
            over_uniform: Some(ratio),
        };
        let mut cells = Cells::default();
        cells.allocations(&[regret(Some(0), 0.5), regret(Some(3), 2.0), regret(None, 0.25)]);
        let rows = cells.means();
        let of = |row: &Summary| (row.statistic.clone(), row.score.clone(), row.heads);
        let expected = [("layer_over_uniform", 2), ("model_over_uniform", 1)];
        assert_eq!(
            rows.iter().map(of).collect::<Vec<_>>(),
            expected.map(|(name, heads)| (name.to_owned(), "value, ada-kv".to_owned(), heads))
        );
        assert!((rows[0].mean - 1.0).abs() < 1e-15 && (rows[1].mean - 0.25).abs() < 1e-15);
    }

    #[test]
    fn ratios_are_averaged_geometrically_and_protections_kept_apart() {
        let regret = |head: usize, protection: &str, ratio: f64| Regret {
            capture: "a".to_owned(),
            layer: 0,
            head,
            window: "all".to_owned(),
            queries: "future".to_owned(),
            score: "key".to_owned(),
            protection: protection.to_owned(),
            budget: 0.05,
            relative_error: 1.0,
            over_oracle: Some(ratio),
            over_greedy: None,
        };
        let mut cells = Cells::default();
        cells.regrets(&[
            regret(0, "none", 1.0),
            regret(1, "none", 4.0),
            regret(0, "sinks-and-recent", 0.25),
        ]);
        let mut rows = cells.means();
        rows.retain(|row| row.statistic == "over_oracle");
        assert_eq!(rows.len(), 2);
        assert!((rows[0].mean - 2.0).abs() < 1e-15);
        assert_eq!((rows[0].heads, rows[0].budget), (2, Some(0.05)));
        let protections: Vec<_> = rows.iter().map(|row| row.protection.as_deref()).collect();
        assert_eq!(protections, [Some("none"), Some("sinks-and-recent")]);
    }
}
