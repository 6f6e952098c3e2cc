//! Means in words.

use crate::measure::{Measurements, MissingCell, Summary};
use crate::names::{Column, Queries, Statistic, Subject};

/// The queries that were judged: future ones too, where the split leaves some.
pub(super) fn judged(measurements: &Measurements) -> &'static [Queries] {
    if measurements.future_heads > 0 {
        &[Queries::InWindow, Queries::Future]
    } else {
        &[Queries::InWindow]
    }
}

/// The means of all `subjects` that have one, in the order of their names.
///
/// # Errors
/// [`MissingCell`] where one was not measured.
pub(super) fn cells<S: Into<Subject>>(
    measurements: &Measurements,
    column: Column,
    subjects: impl IntoIterator<Item = S>,
) -> Result<Vec<&Summary>, MissingCell> {
    let cells = subjects
        .into_iter()
        .map(|subject| measurements.means.cell(column, subject));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<&Summary> = cells.into_iter().flatten().collect();
    rows.sort_by_cached_key(|row| row.score.to_string());
    Ok(rows)
}

/// A mean with its interval, as in `0.96 [0.94, 0.98]`; far from 1 in powers of ten.
pub(super) fn interval(row: &Summary) -> String {
    let share = row.statistic == Statistic::RelativeError;
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

/// A mean that was measured, in words.
pub(super) fn mean(cell: Option<&Summary>) -> String {
    cell.map_or("undefined".to_owned(), interval)
}

/// The subject and its mean.
pub(super) fn show(row: &Summary) -> String {
    format!("{} {}", row.score, interval(row))
}

/// The subject and its mean, where it may have none.
pub(super) fn show_cell(subject: impl Into<Subject>, cell: Option<&Summary>) -> String {
    format!("{} {}", subject.into(), mean(cell))
}

#[cfg(test)]
pub(super) mod tests {
    use obcache_scores::Score;
    use obd_core::QueryWindow;

    use super::*;
    use crate::measure::Means;
    use crate::names::{Kept, Protected};

    pub fn row(column: Column, subject: impl Into<Subject>, mean: f64) -> Summary {
        Summary {
            statistic: column.statistic,
            window: column.window,
            queries: column.queries,
            score: subject.into(),
            truth: column.truth,
            protection: column.selection.map(|selection| selection.0),
            budget: column.selection.map(|(_, kept): (_, Kept)| kept.fraction()),
            mean,
            low: mean - 0.1,
            high: mean + 0.1,
            heads: 9,
        }
    }

    /// Nothing but these means, of heads that all have a future.
    pub fn measured(means: Vec<Summary>) -> Measurements {
        Measurements {
            agreements: Vec::new(),
            regrets: Vec::new(),
            compensated: Vec::new(),
            spectra: Vec::new(),
            interactions: Vec::new(),
            projections: Vec::new(),
            field: Vec::new(),
            budgets: Vec::new(),
            means: Means::of(means),
            tokens: Vec::new(),
            phi_points: Vec::new(),
            oracle_gap: 0.0,
            gauge: Vec::new(),
            future_heads: 9,
            gauge_example: None,
        }
    }

    #[test]
    fn protections_and_budgets_are_not_confused() {
        let column = |protected, budget| Column::over_oracle(QueryWindow::All, Queries::Future, protected, budget);
        let measurements = measured(vec![
            row(column(Protected::Nothing, 0.2), Score::Key, 2.0),
            row(column(Protected::SinksAndRecent, 0.2), Score::Key, 0.5),
        ]);
        let mean = |column| measurements.means.find(column, Score::Key).map(|row| row.mean);
        assert_eq!(mean(column(Protected::Nothing, 0.2)), Some(2.0));
        assert_eq!(mean(column(Protected::SinksAndRecent, 0.2)), Some(0.5));
        assert_eq!(mean(column(Protected::Nothing, 0.5)), None);
        let missing = cells(
            &measurements,
            column(Protected::Nothing, 0.2),
            [Score::Key, Score::Value],
        );
        assert_eq!(missing.unwrap_err().row, "value");
    }

    #[test]
    fn intervals_read_well_at_every_size() {
        let with = |mean: f64, low: f64, high: f64| {
            let column = Column::over_oracle(QueryWindow::All, Queries::Future, Protected::Nothing, 0.2);
            let row = row(column, Score::Key, mean);
            interval(&Summary { low, high, ..row })
        };
        assert_eq!(with(0.5, 0.25, 0.75), "0.50 [0.25, 0.75]");
        assert_eq!(with(2e16, 3e12, 6e19), "2e16 [3e12, 6e19]");
        assert_eq!(with(2e-29, 1e-29, 3e-29), "0 up to rounding");
        assert_eq!(mean(None), "undefined");
    }
}
