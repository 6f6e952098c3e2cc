//! The answer in plain words, first on the page and in the terminal: which score tracks which truth, where none does, and
//! which score to use. Every sentence is made from the numbers.

use obcache_scores::Score;
use obd_core::{Perturbation, QueryWindow};

use super::choice::choice;
use super::words::{cells, judged, show};
use crate::measure::{Measurements, MissingCell, Summary, WINDOWS};
use crate::names::{Column, Queries, Ranking};

/// Rank correlations below this do not count as tracking: less than half of the order's variance is shared.
const TRACKS: f64 = 0.7;

/// The sentences, each with the question that it answers.
pub(super) fn answer(measurements: &Measurements) -> Result<Vec<(&'static str, String)>, MissingCell> {
    let mut answer = vec![
        ("Which score tracks which truth?", tracking(measurements)?),
        ("Where does none?", untracked(measurements)?),
    ];
    if judged(measurements).contains(&Queries::Future) {
        let question = "Which score to use, and should sinks and recent tokens be protected?";
        answer.push((question, choice(measurements)?));
    }
    Ok(answer)
}

/// The ranking that correlates best with a truth and is no restatement of it; `None` where no ranking has a correlation.
fn best(
    measurements: &Measurements,
    (window, queries, truth): (QueryWindow, Queries, Perturbation),
) -> Result<Option<&Summary>, MissingCell> {
    let restates = |ranking: &Ranking| {
        matches!(
            (ranking, truth),
            (Ranking::Score(Score::Removal), Perturbation::Removal)
                | (Ranking::Score(Score::Value), Perturbation::ValueZeroing)
        )
    };
    let others = Ranking::all().filter(|ranking| !restates(ranking));
    let rows = cells(measurements, Column::rank_agreement(window, queries, truth), others)?;
    Ok(rows.into_iter().max_by(|a, b| a.mean.total_cmp(&b.mean)))
}

fn tracking(measurements: &Measurements) -> Result<String, MissingCell> {
    let mut words = Vec::new();
    for truth in [
        Perturbation::Removal,
        Perturbation::KeyZeroing,
        Perturbation::JointZeroing,
    ] {
        words.push(
            match best(measurements, (QueryWindow::All, Queries::InWindow, truth))? {
                Some(best) => format!("for {truth} {}", show(best)),
                None => format!("for {truth} none, because no score has a correlation"),
            },
        );
    }
    Ok(format!(
        "Eviction removes a token, so removal is the truth that counts for it. Over all queries these scores have the highest rank correlation with each truth: {}. \
         Two scores are exact by their formula and not counted: removal for removal, and value for value-zeroing.",
        words.join(", ")
    ))
}

/// The truths and windows for which no inexact score tracks, on the queries scored and on later ones.
fn untracked(measurements: &Measurements) -> Result<String, MissingCell> {
    let mut sentences = Vec::new();
    for &queries in judged(measurements) {
        let mut words = Vec::new();
        for truth in Perturbation::ALL {
            let mut tracked: Vec<(QueryWindow, &Summary)> = Vec::new();
            for window in WINDOWS {
                tracked.extend(best(measurements, (window, queries, truth))?.map(|row| (window, row)));
            }
            let low = tracked.iter().filter(|row| row.1.mean < TRACKS);
            let windows: Vec<String> = low.map(|row| row.0.to_string()).collect();
            let highest = tracked.iter().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
            if let (Some((window, highest)), false) = (highest, windows.is_empty()) {
                words.push(format!(
                    "{truth} (score window {}; the highest is {} over {window})",
                    windows.join(", "),
                    show(highest)
                ));
            }
        }
        sentences.push(if words.is_empty() {
            format!("On {queries} queries some score tracks every truth in every window.")
        } else {
            format!(
                "On {queries} queries no score but the truth itself reaches a rank correlation of {TRACKS} with {}.",
                words.join(", ")
            )
        });
    }
    Ok(sentences.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::{measured, row};
    use super::*;

    /// Every ranking in every window with every truth: 0.5, but for those of `set`.
    fn agreements(queries: &[Queries], set: &[(Ranking, Perturbation, f64)]) -> Vec<Summary> {
        let mut rows = Vec::new();
        for &queries in queries {
            for window in WINDOWS {
                for truth in Perturbation::ALL {
                    for ranking in Ranking::all() {
                        let found = set.iter().find(|(other, of, _)| (*other, *of) == (ranking, truth));
                        let mean = found.map_or(0.5, |found| found.2);
                        rows.push(row(Column::rank_agreement(window, queries, truth), ranking, mean));
                    }
                }
            }
        }
        rows
    }

    #[test]
    fn a_score_that_is_the_truth_does_not_count_as_tracking_it() {
        let removal = |score, mean| (Ranking::Score(score), Perturbation::Removal, mean);
        let set = [removal(Score::Removal, 1.0), removal(Score::Key, 0.6)];
        let mut measurements = measured(agreements(&[Queries::InWindow], &set));
        measurements.future_heads = 0;
        let text = tracking(&measurements).unwrap();
        assert!(text.contains("for removal key 0.60"), "{text}");
        let text = untracked(&measurements).unwrap();
        assert!(
            text.contains("with removal (score window all, last-32, last-1; the highest is key 0.60"),
            "{text}"
        );
        assert!(!text.contains("future"), "{text}");
        let tracked = Perturbation::ALL.map(|truth| (Ranking::Score(Score::Key), truth, 0.8));
        let mut measurements = measured(agreements(&[Queries::InWindow], &tracked));
        measurements.future_heads = 0;
        let text = untracked(&measurements).unwrap();
        assert!(text.contains("some score tracks every truth"), "{text}");
    }

    #[test]
    fn a_row_that_is_missing_is_an_error() {
        let mut rows = agreements(&[Queries::InWindow], &[]);
        let measurements = measured(rows.clone());
        let missing = untracked(&measurements).unwrap_err();
        assert!(missing.column.contains("future queries"), "{missing}");
        rows.retain(|row| row.score != Ranking::StreamingLlm.into());
        let missing = tracking(&measured(rows)).unwrap_err();
        assert_eq!(missing.row, "streaming-llm");
        assert!(answer(&measured(Vec::new())).is_err());
    }
}
