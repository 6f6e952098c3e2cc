//! What per-head sums miss behind the output projection (claim C17).

use obcache_scores::Score;
use obd_core::{GroupReduction, QueryWindow};

use crate::measure::{Measurements, MissingCell};
use crate::names::{Column, GroupScore, Ranking, Statistic, Subject};
use crate::report::words::{mean, show_cell};

/// Scores joined over the query heads that the sentence tells of.
const SHOWN: [(Score, GroupReduction); 5] = [
    (Score::Removal, GroupReduction::Sum),
    (Score::Removal, GroupReduction::Max),
    (Score::Value, GroupReduction::Sum),
    (Score::Value, GroupReduction::Max),
    (Score::Weight, GroupReduction::Sum),
];

/// Of captures that hold an output projection.
pub(super) fn sentence(measurements: &Measurements) -> Result<String, MissingCell> {
    let cell = |statistic, subject| {
        let column = Column::behind_output(statistic, QueryWindow::All.into());
        measurements.means.cell(column, subject)
    };
    let per_head = Subject::Group(GroupScore::PerHeadErrors, GroupReduction::Sum);
    let ratio = cell(Statistic::ProjectedRatio, per_head)?;
    let scores = SHOWN.map(|(score, reduction)| {
        let subject = Subject::Group(GroupScore::Ranking(Ranking::Score(score)), reduction);
        Ok(show_cell(subject, cell(Statistic::ProjectedSpearman, subject)?))
    });
    let scores: Vec<String> = scores.into_iter().collect::<Result<_, _>>()?;
    // Without a ratio there is no KV head that it is a mean over.
    let kv_heads = ratio.map_or(0, |row| row.heads);
    Ok(format!(
        "Behind the output projection the query heads of one KV head lose together {} times the sum of their own errors ({kv_heads} KV heads); that sum \
         ranks tokens as the whole does with correlation {}. Scores joined over the heads have these correlations: {}.",
        mean(ratio),
        mean(cell(Statistic::ProjectedSpearman, per_head)?),
        scores.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn every_score_of_the_sentence_is_needed() {
        let column = |statistic| Column::behind_output(statistic, QueryWindow::All.into());
        let per_head = Subject::Group(GroupScore::PerHeadErrors, GroupReduction::Sum);
        let mut rows = vec![
            row(column(Statistic::ProjectedRatio), per_head, 0.71),
            row(column(Statistic::ProjectedSpearman), per_head, 0.72),
        ];
        for (place, (score, reduction)) in SHOWN.into_iter().enumerate() {
            let subject = Subject::Group(GroupScore::Ranking(score.into()), reduction);
            rows.push(row(
                column(Statistic::ProjectedSpearman),
                subject,
                0.5 + place as f64 / 10.0,
            ));
        }
        let text = sentence(&measured(rows.clone())).unwrap();
        for part in [
            "together 0.71 [0.61, 0.81] times the sum of their own errors (9 KV heads)",
            "with correlation 0.72 [0.62, 0.82]. Scores",
            "value, max 0.80 [0.70, 0.90]; weight, sum 0.90 [0.80, 1.00].",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        for place in 0..rows.len() {
            let mut rows = rows.clone();
            let gone = rows.remove(place);
            let missing = sentence(&measured(rows)).unwrap_err();
            assert_eq!(
                (missing.row, missing.column),
                (gone.score.to_string(), gone.column().to_string())
            );
        }
    }
}
