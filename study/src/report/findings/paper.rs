//! The paper's scores beside the truths, and against rankings that look at less.

use obcache_scores::Score;
use obd_core::{Perturbation, QueryWindow};

use crate::measure::{Measurements, MissingCell, Summary};
use crate::names::{Column, Protected, Queries, Ranking};
use crate::report::words::{cells, show, show_cell};

/// The scores of the paper.
const PAPER: [Score; 3] = [Score::Value, Score::Key, Score::Joint];

/// What looks at less than they do: the attention weight, pooled or not, and mere position.
const PLAINER: [Ranking; 4] = [
    Ranking::Score(Score::Weight),
    Ranking::WeightMaxPool,
    Ranking::WeightAveragePool,
    Ranking::StreamingLlm,
];

/// The paper's scores beside one truth.
pub(super) fn rank_correlation(measurements: &Measurements, truth: Perturbation) -> Result<String, MissingCell> {
    let column = Column::rank_agreement(QueryWindow::All, Queries::InWindow, truth);
    let word = |score| Ok(show_cell(score, measurements.means.cell(column, score)?));
    let words: Vec<String> = PAPER.into_iter().map(word).collect::<Result<_, _>>()?;
    Ok(format!(
        "Over all queries the paper's scores have these rank correlations with {truth}: {}.",
        words.join(", ")
    ))
}

/// Whether the paper's scores evict better than the best ranking that looks at less, budget by budget.
pub(super) fn against_plainer(
    measurements: &Measurements,
    (queries, window): (Queries, QueryWindow),
    protected: Protected,
) -> Result<String, MissingCell> {
    let least = |rows: Vec<&Summary>| rows.into_iter().min_by(|a, b| a.mean.total_cmp(&b.mean)).cloned();
    let mut words = Vec::new();
    for budget in [0.05, 0.20, 0.50] {
        let column = Column::over_oracle(window, queries, protected, budget);
        let paper = least(cells(measurements, column, PAPER)?);
        let plainer = least(cells(measurements, column, PLAINER)?);
        let words_at = match (paper, plainer) {
            (Some(paper), Some(plainer)) => {
                let verdict = if paper.low > plainer.high {
                    "loses to"
                } else if paper.high < plainer.low {
                    "beats"
                } else {
                    "cannot be told from"
                };
                format!("{} {verdict} {}", show(&paper), show(&plainer))
            }
            _ => "no head has an error to compare".to_owned(),
        };
        words.push(format!("at {:.0} % {words_at}", 100.0 * budget));
    }
    let protection = match protected {
        Protected::Nothing => "nothing is protected",
        Protected::SinksAndRecent => "sinks and recent tokens are protected",
    };
    Ok(format!(
        "When {protection}, the best of the paper's scores compares with the best plainer ranking (weight, pooled or not, or position) as follows, \
         score window {window}, {queries} queries, error over the oracle's: {}.",
        words.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn each_correlation_is_that_of_its_own_row() {
        let column = |window, truth| Column::rank_agreement(window, Queries::InWindow, truth);
        let removal = column(QueryWindow::All, Perturbation::Removal);
        let mut rows = vec![
            row(removal, Score::Key, 0.41),
            row(removal, Score::Value, 0.45),
            row(removal, Score::Joint, 0.46),
            row(removal, Score::Weight, 0.44),
            row(column(QueryWindow::Last(32), Perturbation::Removal), Score::Key, 0.43),
        ];
        let text = rank_correlation(&measured(rows.clone()), Perturbation::Removal).unwrap();
        let expected = "with removal: value 0.45 [0.35, 0.55], key 0.41 [0.31, 0.51], joint 0.46 [0.36, 0.56].";
        assert!(text.ends_with(expected), "{text}");
        assert!(rank_correlation(&measured(rows.clone()), Perturbation::KeyZeroing).is_err());
        rows.remove(0);
        let missing = rank_correlation(&measured(rows), Perturbation::Removal).unwrap_err();
        assert_eq!((missing.row, missing.column), ("key".to_owned(), removal.to_string()));
    }

    #[test]
    fn the_verdict_follows_the_intervals() {
        for (value, expected) in [
            (3.0, "loses to weight"),
            (1.0, "beats weight"),
            (2.1, "cannot be told from weight"),
        ] {
            let mut rows = Vec::new();
            for budget in [0.05, 0.20, 0.50] {
                let column = Column::over_oracle(QueryWindow::All, Queries::Future, Protected::Nothing, budget);
                rows.extend(PAPER.map(|score| row(column, score, if score == Score::Value { value } else { 9.0 })));
                rows.extend(PLAINER.map(|ranking| row(column, ranking, 5.0)));
                rows.retain(|row| row.score != Score::Weight.into() || row.budget != Some(budget));
                rows.push(row(column, Score::Weight, 2.0));
            }
            let at = (Queries::Future, QueryWindow::All);
            let text = against_plainer(&measured(rows.clone()), at, Protected::Nothing).unwrap();
            assert_eq!(text.matches(expected).count(), 3, "{text}");
            rows.pop();
            let missing = against_plainer(&measured(rows), at, Protected::Nothing).unwrap_err();
            assert_eq!(missing.row, "weight");
        }
    }
}
