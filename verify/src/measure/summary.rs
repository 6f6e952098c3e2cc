//! Means over the heads, with their confidence.

use std::collections::BTreeMap;

use super::rows::{Agreement, Regret, Summary};
use crate::agreement::bootstrap;

/// Statistic, window, queries, score, truth, and the place of the budget: what a mean belongs to.
type Key = (String, String, String, String, String, Option<usize>);

/// One row per statistic, window, queries, score, truth and budget.
pub(super) fn summarise(agreements: &[Agreement], regrets: &[Regret]) -> Vec<Summary> {
    let mut cells: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    for row in agreements {
        for (statistic, value) in [
            ("spearman", row.spearman),
            ("kendall", row.kendall),
            ("log_pearson", row.log_pearson),
            ("overlap_05", row.overlap_05),
            ("overlap_10", row.overlap_10),
            ("overlap_20", row.overlap_20),
            ("overlap_50", row.overlap_50),
        ] {
            let key = (statistic, &row.window, &row.queries, &row.score, row.truth.as_str());
            cells.entry(owned(key, None)).or_default().extend(value);
        }
    }
    for row in regrets {
        let budget = super::BUDGETS.iter().position(|&budget| budget == row.budget);
        for (statistic, ratio) in [("over_oracle", row.over_oracle), ("over_greedy", row.over_greedy)] {
            let key = (statistic, &row.window, &row.queries, &row.score, "removal");
            let logarithm = ratio.filter(|&ratio| ratio > 0.0).map(f64::ln);
            cells.entry(owned(key, budget)).or_default().extend(logarithm);
        }
    }
    cells
        .into_iter()
        .filter_map(|(key, values)| row(key, &values))
        .collect()
}

fn owned(key: (&str, &String, &String, &String, &str), budget: Option<usize>) -> Key {
    (
        key.0.to_owned(),
        key.1.clone(),
        key.2.clone(),
        key.3.clone(),
        key.4.to_owned(),
        budget,
    )
}

/// Ratios come as logarithms and leave as geometric means.
fn row((statistic, window, queries, score, truth, budget): Key, values: &[f64]) -> Option<Summary> {
    let interval = bootstrap(values)?;
    let back = |value: f64| if budget.is_some() { value.exp() } else { value };
    Some(Summary {
        statistic,
        window,
        queries,
        score,
        truth,
        budget: budget.map(|place| super::BUDGETS[place]),
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
    fn ratios_are_averaged_geometrically() {
        let regret = |head: usize, ratio: f64| Regret {
            capture: "a".to_owned(),
            layer: 0,
            head,
            window: "all".to_owned(),
            queries: "future".to_owned(),
            score: "key".to_owned(),
            budget: 0.05,
            relative_error: 1.0,
            over_oracle: Some(ratio),
            over_greedy: None,
        };
        let rows = summarise(&[], &[regret(0, 1.0), regret(1, 4.0)]);
        assert_eq!(rows.len(), 1);
        assert!((rows[0].mean - 2.0).abs() < 1e-15);
        assert_eq!((rows[0].heads, rows[0].budget), (2, Some(0.05)));
    }
}
