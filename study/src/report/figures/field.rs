//! The field beside each other: who evicts cheapest on future queries.

use plots::{DotRow, Figure, PlotError, dot_rows};

use crate::measure::{FIELD_BUDGETS, Measurements};
use crate::names::{Column, FieldScore, Subject};

/// The scores that were measured, the least mean error at the largest of [`FIELD_BUDGETS`] first.
pub(in crate::report) fn cheapest_first(measurements: &Measurements) -> Vec<FieldScore> {
    let mut scores: Vec<FieldScore> = Vec::new();
    for row in measurements.field.iter().filter(|row| row.absent.is_none()) {
        if !scores.contains(&row.score) {
            scores.push(row.score);
        }
    }
    let [.., largest] = FIELD_BUDGETS;
    // Where no KV head has an error to compare with, a score has no mean and comes last.
    let mean = |score: &FieldScore| {
        let row = measurements.means.find(Column::field(largest), Subject::Field(*score));
        row.map_or(f64::INFINITY, |row| row.mean)
    };
    scores.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    scores
}

/// Every score's error over the oracle's, with its interval, at the budgets of the field.
pub(super) fn figure(measurements: &Measurements) -> Result<Figure, PlotError> {
    let row = |score: FieldScore| DotRow {
        dots: FIELD_BUDGETS.map(|budget| dot(measurements, score, budget)).into(),
        name: score.to_string(),
    };
    let means = measurements.means.all(Column::field(FIELD_BUDGETS[0]));
    let kv_heads = means.first().ok_or_else(|| PlotError::Empty("field".to_owned()))?.heads;
    let caption = format!(
        "Exact error of the set that each score of the field evicts from a KV head for all query heads that read it, on the queries after the split, \
         which no score has seen, over that of the set which ranking tokens by their exact error over all past queries evicts (the line at 1). \
         Geometric means over {kv_heads} KV heads, bars are 95 % bootstrap intervals; sorted at {:.0} % kept (squares; discs at {:.0} %). A score protects tokens only \
         by its own rule; a name ends with the queries that the score looks at.",
        100.0 * FIELD_BUDGETS[1],
        100.0 * FIELD_BUDGETS[0]
    );
    let series = FIELD_BUDGETS.map(|budget| format!("{:.0} % kept", 100.0 * budget));
    let rows: Vec<DotRow> = cheapest_first(measurements).into_iter().map(row).collect();
    dot_rows(
        "The field on future queries",
        &caption,
        ("error over the oracle's", 1.0),
        &series.each_ref().map(String::as_str),
        &rows,
    )
}

fn dot(measurements: &Measurements, score: FieldScore, budget: f64) -> Option<(f64, f64, f64)> {
    let row = measurements.means.find(Column::field(budget), Subject::Field(score))?;
    Some((row.mean, row.low, row.high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::FieldRegret;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn the_cheapest_comes_first_and_absent_scores_do_not() {
        let [small, large] = FIELD_BUDGETS.map(Column::field);
        let mut measurements = measured(vec![
            row(large, Subject::Field(FieldScore::Cur), 2.0),
            row(large, Subject::Field(FieldScore::KNorm), 0.5),
            row(small, Subject::Field(FieldScore::KNorm), 9.0),
        ]);
        let measured = |score, absent: Option<&str>| FieldRegret {
            capture: String::new(),
            layer: 0,
            kv_head: 0,
            score,
            budget: None,
            relative_error: None,
            over_oracle: None,
            absent: absent.map(str::to_owned),
        };
        measurements.field = vec![
            measured(FieldScore::Cur, None),
            measured(FieldScore::KNorm, None),
            measured(FieldScore::Leverage, Some("W_O")),
        ];
        assert_eq!(cheapest_first(&measurements), [FieldScore::KNorm, FieldScore::Cur]);
        let figure = figure(&measurements).unwrap();
        let at = |name: &str| figure.svg().find(name);
        assert!(at("knorm") < at("cur") && at("leverage").is_none());
        assert!(figure.caption().contains("9 KV heads"));
    }
}
