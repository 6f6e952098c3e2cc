//! How far ranking token by token is from choosing a set, and how near the cheap set selections come.

use obcache_scores::select::sets::exchange::EXCHANGES;
use obd_core::QueryWindow;

use crate::measure::subsets::{BEAM_TOKENS, BEAM_WIDTH};
use crate::measure::{BUDGETS, Measurements, MissingCell};
use crate::names::{Column, Protected, Queries, SetSelection};
use crate::report::words::{judged, mean, show, show_cell};

/// Greedy removal of a set against ranking tokens by their own exact error.
pub(super) fn greedy(measurements: &Measurements, queries: Queries) -> Result<String, MissingCell> {
    let column = Column::over_oracle(QueryWindow::All, queries, Protected::Nothing, 0.2);
    let greedy = measurements.means.cell(column, SetSelection::Greedy)?;
    Ok(format!(
        "Greedy exact removal of a set, on {queries} queries at 20 % kept, has {} times the error of ranking tokens by their own exact \
         error.",
        mean(greedy)
    ))
}

/// How near halving and exchange come to greedy removal.
pub(super) fn halving(
    measurements: &Measurements,
    window: QueryWindow,
    queries: Queries,
) -> Result<String, MissingCell> {
    let at = |selection: SetSelection| -> Result<String, MissingCell> {
        let budgets = BUDGETS.map(|budget| {
            let column = Column::over_greedy(window, queries, Protected::Nothing, budget);
            let cell = measurements.means.cell(column, selection)?;
            Ok(format!("{} at {:.0} %", mean(cell), 100.0 * budget))
        });
        let budgets: Vec<String> = budgets.into_iter().collect::<Result<_, _>>()?;
        Ok(budgets.join(", "))
    };
    Ok(format!(
        "Removal by halving, score window {window}, on {queries} queries, has {} times the error of greedy exact removal; \
         with at most {EXCHANGES} exchanges after it, it has {}.",
        at(SetSelection::Halving)?,
        at(SetSelection::Exchange)?
    ))
}

/// How the dearer and the first-order set selections compare with greedy removal.
pub(super) fn yardsticks(measurements: &Measurements) -> Result<String, MissingCell> {
    let at = |window, queries| -> Result<String, MissingCell> {
        let column = Column::over_greedy(window, queries, Protected::Nothing, 0.2);
        let mut words = Vec::new();
        for selection in [SetSelection::Gram, SetSelection::Cholesky, SetSelection::Addition] {
            words.push(show_cell(selection, measurements.means.cell(column, selection)?));
        }
        // The beam is measured over few queries of short heads alone.
        if let Some(row) = measurements.means.find(column, SetSelection::Beam) {
            words.push(format!("{} ({} heads)", show(row), row.heads));
        }
        Ok(words.join(", "))
    };
    let mut windows = Vec::new();
    for window in [QueryWindow::All, QueryWindow::Last(32)] {
        let queries = judged(measurements).iter();
        let queries = queries.map(|&queries| Ok(format!("on {queries} queries {}", at(window, queries)?)));
        let queries: Vec<String> = queries.collect::<Result<_, _>>()?;
        windows.push(format!("score window {window}, {}", queries.join(", ")));
    }
    Ok(format!(
        "Other selections of a set (20 % kept, nothing protected) have the following multiples of greedy exact removal's error: {}. gram is greedy \
         removal to first order; cholesky keeps tokens whose perturbations span the others'; addition starts from nothing kept; beam removes tokens while it \
         follows {BEAM_WIDTH} sets, on heads of at most {BEAM_TOKENS} tokens.",
        windows.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Summary;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn greedy_is_told_for_the_queries_it_was_judged_on() {
        let column = |queries| Column::over_oracle(QueryWindow::All, queries, Protected::Nothing, 0.2);
        let rows = vec![
            row(column(Queries::InWindow), SetSelection::Greedy, 0.51),
            row(column(Queries::Future), SetSelection::Gram, 0.53),
        ];
        let measurements = measured(rows);
        let text = greedy(&measurements, Queries::InWindow).unwrap();
        assert!(text.contains("on in-window queries at 20 % kept, has 0.51 ["), "{text}");
        assert!(greedy(&measurements, Queries::Future).is_err());
    }

    #[test]
    fn halving_needs_every_budget() {
        let column = |budget| Column::over_greedy(QueryWindow::All, Queries::Future, Protected::Nothing, budget);
        let mut rows = Vec::new();
        for budget in BUDGETS {
            rows.push(row(column(budget), SetSelection::Halving, 1.1));
            rows.push(row(column(budget), SetSelection::Exchange, 0.9));
        }
        let text = halving(&measured(rows.clone()), QueryWindow::All, Queries::Future).unwrap();
        assert!(
            text.contains("1.10 [1.00, 1.20] at 50 % times") && text.contains("it has 0.90 [0.80, 1.00] at 5 %"),
            "{text}"
        );
        rows.pop();
        let missing = halving(&measured(rows), QueryWindow::All, Queries::Future).unwrap_err();
        assert_eq!(
            (missing.row, missing.column),
            ("exchange".to_owned(), column(0.5).to_string())
        );
    }

    #[test]
    fn the_beam_says_over_how_many_heads_it_was_measured() {
        let column = |window, queries| Column::over_greedy(window, queries, Protected::Nothing, 0.2);
        let mut rows: Vec<Summary> = Vec::new();
        for window in [QueryWindow::All, QueryWindow::Last(32)] {
            for (queries, mean) in [(Queries::InWindow, 1.5), (Queries::Future, 0.3)] {
                for selection in [SetSelection::Gram, SetSelection::Cholesky, SetSelection::Addition] {
                    rows.push(row(column(window, queries), selection, mean));
                }
            }
        }
        rows.push(row(
            column(QueryWindow::Last(32), Queries::InWindow),
            SetSelection::Beam,
            0.9,
        ));
        let text = yardsticks(&measured(rows.clone())).unwrap();
        for part in [
            "error: score window all, on in-window queries gram 1.50 [1.40, 1.60], cholesky 1.50",
            "addition 1.50 [1.40, 1.60], on future queries gram 0.30 [0.20, 0.40]",
            "; score window last-32, on in-window queries gram 1.50 [1.40, 1.60], cholesky 1.50 [1.40, 1.60], addition 1.50 [1.40, 1.60], beam 0.90 [0.80, 1.00] (9 heads), on",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        rows.remove(0);
        assert_eq!(yardsticks(&measured(rows)).unwrap_err().row, "gram");
    }
}
