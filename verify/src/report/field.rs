//! The field beside each other: who evicts cheapest on future queries.

use plots::{DotRow, Figure, PlotError, dot_rows};

use super::lookup::Wanted;
use crate::measure::{FIELD_BUDGETS, Measurements};

/// The scores that were measured, the least mean error at the largest of [`FIELD_BUDGETS`] first.
pub(super) fn cheapest_first(measurements: &Measurements) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in measurements.field.iter().filter(|row| row.absent.is_none()) {
        if !names.contains(&row.score) {
            names.push(row.score.clone());
        }
    }
    let [.., largest] = FIELD_BUDGETS;
    let mean = |name: &str| {
        let row = Wanted::field(largest).of(measurements, name);
        row.map_or(f64::INFINITY, |row| row.mean)
    };
    names.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    names
}

/// Every score's error over the oracle's, with its interval, at the budgets of the field.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let row = |name: String| DotRow {
        dots: FIELD_BUDGETS.map(|budget| dot(measurements, &name, budget)).into(),
        name,
    };
    let names = cheapest_first(measurements);
    let kv_heads = Wanted::field(FIELD_BUDGETS[0]).all(measurements);
    let caption = format!(
        "Exact error of the set that each score of the field evicts from a KV head for all query heads that read it, on the queries after the split, \
         which no score has seen, over that of the set which ranking tokens by their exact error over all past queries evicts (the line at 1). \
         Geometric means over {} KV heads, bars are 95 % bootstrap intervals; sorted at {:.0} % kept (squares; discs at {:.0} %). No token is protected but by the score \
         itself; a name ends with the queries that the score looks at.",
        kv_heads.first().map_or(0, |row| row.heads),
        100.0 * FIELD_BUDGETS[1],
        100.0 * FIELD_BUDGETS[0]
    );
    let series = FIELD_BUDGETS.map(|budget| format!("{:.0} % kept", 100.0 * budget));
    dot_rows(
        "The field on future queries",
        &caption,
        ("error over the oracle's", 1.0),
        &series.each_ref().map(String::as_str),
        &names.into_iter().map(row).collect::<Vec<DotRow>>(),
    )
}

fn dot(measurements: &Measurements, name: &str, budget: f64) -> Option<(f64, f64, f64)> {
    let row = Wanted::field(budget).of(measurements, name)?;
    Some((row.mean, row.low, row.high))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::tests::{measured, row};
    use super::*;
    use crate::measure::FieldRegret;

    #[test]
    fn the_cheapest_comes_first_and_absent_scores_do_not() {
        let wanted = Wanted::field(FIELD_BUDGETS[1]);
        let mut measurements = measured(vec![
            row(wanted, "dear", 2.0),
            row(wanted, "cheap", 0.5),
            row(Wanted::field(FIELD_BUDGETS[0]), "cheap", 9.0),
        ]);
        let measured = |score: &str, absent: Option<&str>| FieldRegret {
            capture: String::new(),
            layer: 0,
            kv_head: 0,
            score: score.to_owned(),
            budget: None,
            relative_error: None,
            over_oracle: None,
            absent: absent.map(str::to_owned),
        };
        measurements.field = vec![
            measured("dear", None),
            measured("cheap", None),
            measured("lost", Some("W_O")),
        ];
        assert_eq!(cheapest_first(&measurements), ["cheap", "dear"]);
        let figure = figure(&measurements).unwrap();
        let at = |name: &str| figure.svg().find(name);
        assert!(at("cheap") < at("dear") && at("lost").is_none());
        assert!(figure.caption().contains("9 KV heads"));
    }
}
