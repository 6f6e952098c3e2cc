//! The numbers of all heads, gathered by what they are averaged to.

use std::collections::{HashMap, HashSet};

use obcache_scores::Score;

use super::budgets;
use super::means::Means;
use super::rows::{
    Agreement, Compensated, FieldRegret, Interaction, Projection, Regret, SharingRegret, Spectrum, Summary,
};
use crate::agreement::bootstrap;
use crate::names::{Column, Statistic, Subject};

/// The numbers behind each mean, one a head; those of ratios as logarithms.
#[derive(Default)]
pub(super) struct Values(HashMap<(Column, Subject), Vec<f64>>);

impl Values {
    fn add(&mut self, column: Column, subject: impl Into<Subject>, value: Option<f64>) {
        let values = self.0.entry((column, subject.into())).or_default();
        values.extend(if column.statistic.is_ratio() {
            value.filter(|&ratio| ratio > 0.0).map(f64::ln)
        } else {
            value
        });
    }

    /// Agreement of scores and truths.
    pub fn agreements(&mut self, rows: &[Agreement]) {
        for row in rows {
            for (statistic, value) in [
                (Statistic::Spearman, row.spearman),
                (Statistic::Kendall, row.kendall),
                (Statistic::LogPearson, row.log_pearson),
                (Statistic::Overlap05, row.overlap_05),
                (Statistic::Overlap10, row.overlap_10),
                (Statistic::Overlap20, row.overlap_20),
                (Statistic::Overlap50, row.overlap_50),
            ] {
                let column = Column::agreement(statistic, row.window, row.queries, row.truth);
                self.add(column, row.score, value);
            }
        }
    }

    /// Regret of selections.
    pub fn regrets(&mut self, rows: &[Regret]) {
        for row in rows {
            for (statistic, value) in [
                (Statistic::OverOracle, row.over_oracle),
                (Statistic::OverGreedy, row.over_greedy),
                (Statistic::RelativeError, Some(row.relative_error)),
            ] {
                let column = Column::eviction(statistic, row.window, row.queries, row.protection, row.budget);
                self.add(column, row.score, value);
            }
        }
    }

    /// What the Surgeon's update buys.
    pub fn compensations(&mut self, rows: &[Compensated]) {
        for row in rows {
            let column = Column::compensation(row.window, row.queries, row.protection, row.budget);
            self.add(column, row.score, row.ratio);
        }
    }

    /// Effective ranks.
    pub fn spectra(&mut self, rows: &[Spectrum]) {
        for row in rows {
            let column = Column::effective_rank(row.window);
            self.add(column, Subject::Heads, Some(row.effective_rank));
        }
    }

    /// How single errors add up, for the ranking by the exact single-token error.
    pub fn interactions(&mut self, rows: &[Interaction]) {
        for row in rows {
            for (statistic, value) in [
                (Statistic::OverBest, row.over_best),
                (Statistic::OverSum, row.over_sum),
                (Statistic::Renormalisation, row.renormalisation),
                (Statistic::Submodularity, row.submodularity),
                (Statistic::Opposed, row.opposed),
            ] {
                self.add(Column::interaction(statistic, row.budget), Score::Removal, value);
            }
        }
    }

    /// Agreement and ratio behind the output projection.
    pub fn projections(&mut self, rows: &[Projection]) {
        for row in rows {
            let subject = Subject::Group(row.score, row.reduction);
            for (statistic, value) in [
                (Statistic::ProjectedSpearman, row.spearman),
                (Statistic::ProjectedRatio, row.ratio),
            ] {
                self.add(Column::behind_output(statistic, row.window), subject, value);
            }
        }
    }

    /// Regret of the field's scores, each with its own window; an absent score has no budget and no regret.
    pub fn field(&mut self, rows: &[FieldRegret]) {
        for row in rows {
            if let Some(budget) = row.budget {
                self.add(Column::field(budget), Subject::Field(row.score), row.over_oracle);
            }
        }
    }

    /// What sharing a budget costs, over the uniform one: layer by layer, and capture by capture.
    pub fn sharing(&mut self, rows: &[SharingRegret]) {
        for row in rows {
            let statistic = match row.layer {
                Some(_) => Statistic::LayerOverUniform,
                None => Statistic::ModelOverUniform,
            };
            let column = Column::sharing(statistic, budgets::WINDOW, row.budget);
            self.add(column, Subject::Shared(row.score, row.sharing), row.over_uniform);
        }
    }

    /// One mean a column and subject.
    pub fn means(self) -> Means {
        let (mut rows, mut undefined) = (Vec::new(), HashSet::new());
        for ((column, subject), values) in self.0 {
            match row(column, subject, &values) {
                Some(row) => rows.push(row),
                None => {
                    undefined.insert((column, subject));
                }
            }
        }
        rows.sort_by_cached_key(names);
        Means { rows, undefined }
    }
}

/// The names of a row, by which the table is ordered.
fn names(row: &Summary) -> ([String; 5], Option<(String, u64)>) {
    let names = [
        row.statistic.to_string(),
        row.window.to_string(),
        row.queries.to_string(),
        row.score.to_string(),
        row.truth.to_string(),
    ];
    // Fractions above 0 have the order of their bits.
    let selection = row.protection.zip(row.budget);
    (
        names,
        selection.map(|(protected, budget)| (protected.to_string(), budget.to_bits())),
    )
}

/// Ratios come as logarithms and leave as geometric means.
fn row(column: Column, subject: Subject, values: &[f64]) -> Option<Summary> {
    let interval = bootstrap(values)?;
    let ratio = column.statistic.is_ratio();
    let back = |value: f64| if ratio { value.exp() } else { value };
    Some(Summary {
        statistic: column.statistic,
        window: column.window,
        queries: column.queries,
        score: subject,
        truth: column.truth,
        protection: column.selection.map(|(protection, _)| protection),
        budget: column.selection.map(|(_, kept)| kept.fraction()),
        mean: back(interval.mean),
        low: back(interval.low),
        high: back(interval.high),
        heads: interval.heads,
    })
}

#[cfg(test)]
mod tests {
    use obd_core::QueryWindow;

    use super::*;
    use crate::names::{Protected, Queries, Sharing};

    #[test]
    fn layers_and_models_are_averaged_apart() {
        let regret = |layer, ratio: f64| SharingRegret {
            capture: "a".to_owned(),
            layer,
            sharing: Sharing::AdaKv,
            score: Score::Value,
            budget: 0.2,
            relative_error: 1.0,
            over_uniform: Some(ratio),
        };
        let mut values = Values::default();
        values.sharing(&[regret(Some(0), 0.5), regret(Some(3), 2.0), regret(None, 0.25)]);
        let means = values.means();
        let of = |row: &Summary| (row.statistic, row.score.to_string(), row.heads);
        let expected = [(Statistic::LayerOverUniform, 2), (Statistic::ModelOverUniform, 1)];
        assert_eq!(
            means.rows().iter().map(of).collect::<Vec<_>>(),
            expected.map(|(statistic, heads)| (statistic, "value, ada-kv".to_owned(), heads))
        );
        assert!((means.rows()[0].mean - 1.0).abs() < 1e-15 && (means.rows()[1].mean - 0.25).abs() < 1e-15);
    }

    fn regret(head: usize, protection: Protected, over_oracle: Option<f64>) -> Regret {
        Regret {
            capture: "a".to_owned(),
            layer: 0,
            head,
            window: QueryWindow::All.into(),
            queries: Queries::Future,
            score: Score::Key.into(),
            protection,
            budget: 0.05,
            relative_error: 1.0,
            over_oracle,
            over_greedy: None,
        }
    }

    #[test]
    fn ratios_are_averaged_geometrically_and_protections_kept_apart() {
        let mut values = Values::default();
        values.regrets(&[
            regret(0, Protected::Nothing, Some(1.0)),
            regret(1, Protected::Nothing, Some(4.0)),
            regret(0, Protected::SinksAndRecent, Some(0.25)),
        ]);
        let means = values.means();
        let rows: Vec<_> = means
            .rows()
            .iter()
            .filter(|row| row.statistic == Statistic::OverOracle)
            .collect();
        assert_eq!(rows.len(), 2);
        assert!((rows[0].mean - 2.0).abs() < 1e-15);
        assert_eq!((rows[0].heads, rows[0].budget), (2, Some(0.05)));
        let protections: Vec<_> = rows.iter().map(|row| row.protection).collect();
        assert_eq!(protections, [Some(Protected::Nothing), Some(Protected::SinksAndRecent)]);
    }

    #[test]
    fn a_mean_that_no_head_has_is_told_from_one_that_was_never_measured() {
        let mut values = Values::default();
        values.regrets(&[
            regret(0, Protected::Nothing, Some(1.0)),
            regret(1, Protected::SinksAndRecent, None),
        ]);
        let means = values.means();
        let column = |protected, budget| Column::over_oracle(QueryWindow::All, Queries::Future, protected, budget);
        let mean = means.cell(column(Protected::Nothing, 0.05), Score::Key);
        assert_eq!(mean.unwrap().unwrap().mean, 1.0);
        assert_eq!(
            means.cell(column(Protected::SinksAndRecent, 0.05), Score::Key),
            Ok(None)
        );
        let missing = means.cell(column(Protected::Nothing, 0.2), Score::Key).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "summary.csv: there is no row \"key\" in the column \"over_oracle, window all, future queries, truth removal, 20 % kept, protection \
             none\", which the report needs"
        );
        assert!(means.cell(column(Protected::Nothing, 0.05), Score::Value).is_err());
    }

    #[test]
    fn rows_are_ordered_by_their_names() {
        let mut values = Values::default();
        let mut last = regret(0, Protected::Nothing, Some(1.0));
        last.window = QueryWindow::Last(1).into();
        values.regrets(&[
            regret(0, Protected::SinksAndRecent, Some(1.0)),
            last,
            regret(0, Protected::Nothing, Some(1.0)),
        ]);
        let means = values.means();
        let names = means
            .rows()
            .iter()
            .map(|row| format!("{} {}", row.statistic, row.window));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                "over_oracle all",
                "over_oracle all",
                "over_oracle last-1",
                "relative_error all",
                "relative_error all",
                "relative_error last-1"
            ]
        );
        assert_eq!(means.rows()[0].protection, Some(Protected::Nothing));
    }
}
