//! Which score to use, and whether to protect sinks and recent tokens: one paragraph, because the answer to the second depends on
//! the window of the first.

use obcache_scores::Score;
use obd_core::QueryWindow;

use super::words::{cells, interval};
use crate::measure::{Measurements, MissingCell, Summary, WINDOWS};
use crate::names::{Column, Protected, Queries, Ranking, Selection, SetSelection};

/// Rankings from the cheapest to the dearest to compute.
const CHEAPEST: [Ranking; 7] = [
    Ranking::StreamingLlm,
    Ranking::Score(Score::Weight),
    Ranking::WeightMaxPool,
    Ranking::WeightAveragePool,
    Ranking::Score(Score::ValueOneNorm),
    Ranking::Score(Score::Value),
    Ranking::Score(Score::Removal),
];

/// Budget of the recommendation.
const BUDGET: f64 = 0.2;

/// The choice with the least error on future queries, then what protection is worth over each window.
pub(super) fn choice(measurements: &Measurements) -> Result<String, MissingCell> {
    let windows: Vec<String> = WINDOWS
        .into_iter()
        .map(|window| protection(measurements, window))
        .collect::<Result<_, _>>()?;
    Ok(format!(
        "{} Protecting the first 4 tokens and the most recent half of the rest of the budget has the following effect, by the error over the oracle's without protection: {}.",
        least_error(measurements)?,
        windows.join("; ")
    ))
}

/// The selections that a server could run: every ranking, and the sets that are quick to choose.
fn served() -> impl Iterator<Item = Selection> {
    let sets = SetSelection::SERVED.into_iter().map(Selection::Set);
    Ranking::all().map(Selection::Ranking).chain(sets)
}

/// The best selection on future queries over all windows, with protection or without, and the cheapest one as good.
fn least_error(measurements: &Measurements) -> Result<String, MissingCell> {
    let mut rows: Vec<&Summary> = Vec::new();
    for window in WINDOWS {
        for &protected in Protected::ALL {
            let column = Column::relative_error(window, Queries::Future, protected, BUDGET);
            rows.extend(cells(measurements, column, served())?);
        }
    }
    let Some(best) = rows.iter().copied().min_by(|a, b| a.mean.total_cmp(&b.mean)) else {
        return Ok("No selection has an error on later queries.".to_owned());
    };
    rows.retain(|row| row.window == best.window && row.protection == best.protection);
    let as_good: Vec<&&Summary> = rows.iter().filter(|row| row.low <= best.high).collect();
    let find = |ranking: Ranking| as_good.iter().find(|row| row.score == ranking.into());
    let cheapest = match CHEAPEST.into_iter().find_map(find) {
        Some(row) if row.score != best.score => format!("the cheapest of them is {} ({})", row.score, interval(row)),
        _ => "none of them is cheaper to compute".to_owned(),
    };
    let position = rows.iter().find(|row| row.score == Ranking::StreamingLlm.into());
    let position = position.map_or("no error".to_owned(), |row| interval(row));
    let kept = if best.protection == Some(Protected::Nothing) {
        "nothing protected"
    } else {
        "the first 4 tokens and the most recent half of the rest of the budget protected"
    };
    Ok(format!(
        "With {:.0} % kept and judged on later queries, {} over the window {} has the least error, with {kept}: {} of the output's \
         squared norm. Of the {} other selections in this setting {} cannot be told from it; {cheapest}. Position alone has {position}.",
        100.0 * BUDGET,
        best.score,
        best.window,
        interval(best),
        rows.len() - 1,
        as_good.len() - 1,
    ))
}

/// What protecting sinks and recent tokens is worth over one window, beside what the choice of score is worth.
fn protection(measurements: &Measurements, window: QueryWindow) -> Result<String, MissingCell> {
    let ends = |protected| {
        let scores = Ranking::all().filter(|ranking| *ranking != Ranking::StreamingLlm);
        let column = Column::over_oracle(window, Queries::Future, protected, BUDGET);
        let rows = cells(measurements, column, scores)?;
        let means = rows.iter().map(|row| row.mean);
        Ok((means.clone().fold(f64::INFINITY, f64::min), means.fold(0.0, f64::max)))
    };
    let (bare, kept): ((f64, f64), (f64, f64)) = (ends(Protected::Nothing)?, ends(Protected::SinksAndRecent)?);
    if bare.0 > bare.1 || kept.0 > kept.1 {
        return Ok(format!("over the window {window} no score has an error"));
    }
    let verdict = if kept.1 < bare.0 {
        "protection gains more than any choice of score"
    } else if kept.0 > bare.1 {
        "protection costs more than any choice of score gains"
    } else {
        "protection matters no more than the choice of score"
    };
    Ok(format!(
        "over the window {window} {verdict} (scores between {:.2} and {:.2} without it, between {:.2} and {:.2} with it)",
        bare.0, bare.1, kept.0, kept.1
    ))
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::{measured, row};
    use super::*;

    /// Errors of every selection in every setting: 0.9, but for those of `set`; over the oracle's the same.
    fn errors(set: &[(QueryWindow, Protected, Selection, f64)]) -> Vec<Summary> {
        let mut rows = Vec::new();
        for window in WINDOWS {
            for &protected in Protected::ALL {
                for selection in served() {
                    let here = (window, protected, selection);
                    let found = set
                        .iter()
                        .find(|(window, protected, selection, _)| (*window, *protected, *selection) == here);
                    let mean = found.map_or(0.9, |found| found.3);
                    for column in [Column::relative_error, Column::over_oracle] {
                        rows.push(row(column(window, Queries::Future, protected, BUDGET), selection, mean));
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn the_cheapest_that_cannot_be_told_from_the_best_is_named() {
        let last = |score: Score, mean| (QueryWindow::Last(32), Protected::SinksAndRecent, score.into(), mean);
        let set = [
            last(Score::Removal, 0.5),
            last(Score::Value, 0.55),
            last(Score::Weight, 0.6),
        ];
        let mut rows = errors(&set);
        let greedy = Column::relative_error(
            QueryWindow::Last(32),
            Queries::Future,
            Protected::SinksAndRecent,
            BUDGET,
        );
        rows.push(row(greedy, SetSelection::Greedy, 0.1));
        let text = least_error(&measured(rows)).unwrap();
        for part in [
            "removal over the window last-32 has the least error, with the first 4 tokens",
            ": 0.50 [0.40, 0.60] of",
            "Of the 15 other selections in this setting 2 cannot be told",
            "the cheapest of them is weight (0.60",
            "Position alone has 0.90",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        let key = [(QueryWindow::All, Protected::Nothing, Score::Key.into(), 0.5)];
        let text = least_error(&measured(errors(&key))).unwrap();
        assert!(
            text.contains("key over the window all has the least error, with nothing protected"),
            "{text}"
        );
        assert!(
            text.contains("15 other selections in this setting 0 cannot be told from it; none of them is cheaper"),
            "{text}"
        );
    }

    #[test]
    fn the_spread_of_scores_is_set_beside_the_gain_of_protection() {
        for (kept, verdict) in [(0.3, "gains more"), (0.95, "matters no more"), (1.5, "costs more")] {
            let kept = served().map(|selection| (QueryWindow::All, Protected::SinksAndRecent, selection, kept));
            let key = (QueryWindow::All, Protected::Nothing, Score::Key.into(), 1.2);
            let set: Vec<_> = kept.chain([key]).collect();
            let text = protection(&measured(errors(&set)), QueryWindow::All).unwrap();
            assert!(
                text.starts_with(&format!("over the window all protection {verdict}")),
                "{text}"
            );
            assert!(text.contains("between 0.90 and 1.20 without it"), "{text}");
            let mean = set[0].3;
            assert!(
                text.contains(&format!("between {mean:.2} and {mean:.2} with it")),
                "{text}"
            );
        }
    }

    #[test]
    fn one_paragraph_speaks_of_every_window() {
        let text = choice(&measured(errors(&[]))).unwrap();
        for window in WINDOWS {
            assert!(text.contains(&format!("over the window {window} protection")), "{text}");
        }
    }

    #[test]
    fn a_row_that_is_missing_is_an_error() {
        let mut rows = errors(&[]);
        let last = rows.remove(rows.len() - 2);
        let missing = choice(&measured(rows)).unwrap_err();
        assert_eq!(missing.row, last.score.to_string());
        assert_eq!(missing.column, last.column().to_string());
    }
}
