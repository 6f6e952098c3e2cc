//! What sharing a budget among heads and layers is worth.

use crate::measure::budgets::{SCORES, WINDOW};
use crate::measure::{Measurements, MissingCell};
use crate::names::{Column, Sharing, Statistic, Subject};
use crate::report::words::mean;

/// Of captures whose split leaves a future.
pub(super) fn sentence(measurements: &Measurements) -> Result<String, MissingCell> {
    let column = |statistic| Column::sharing(statistic, WINDOW, 0.2);
    let words = |statistic, ways: [Sharing; 2]| -> Result<String, MissingCell> {
        let ways = ways.map(|sharing| {
            let scores = SCORES.map(|score| {
                let cell = measurements
                    .means
                    .cell(column(statistic), Subject::Shared(score, sharing))?;
                Ok(format!("{score} {}", mean(cell)))
            });
            let scores: Vec<String> = scores.into_iter().collect::<Result<_, _>>()?;
            Ok(format!("{sharing} {}", scores.join(", ")))
        });
        let ways: Vec<String> = ways.into_iter().collect::<Result<_, _>>()?;
        Ok(ways.join("; "))
    };
    let layers = words(Statistic::LayerOverUniform, [Sharing::AdaKv, Sharing::OptimalInLayer])?;
    let model = words(
        Statistic::ModelOverUniform,
        [Sharing::PyramidKv, Sharing::OptimalInModel],
    )?;
    // No capture has a ratio where the uniform budget has no error.
    let captures = measurements.means.all(column(Statistic::ModelOverUniform));
    let captures = captures.first().map_or(0, |row| row.heads);
    Ok(format!(
        "An unevenly shared budget (20 % kept, nothing protected, score window {WINDOW}, future queries) leaves the following shares of the error that the same \
         score has with the uniform budget. Within a layer: {layers}. Over the whole model ({captures} captures): {model}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn budgets_are_told_apart_by_what_they_share() {
        let mut rows = Vec::new();
        let mut mean = 0.5;
        for (statistic, ways) in [
            (Statistic::LayerOverUniform, [Sharing::AdaKv, Sharing::OptimalInLayer]),
            (
                Statistic::ModelOverUniform,
                [Sharing::PyramidKv, Sharing::OptimalInModel],
            ),
        ] {
            for sharing in ways {
                for score in SCORES {
                    mean += 0.1;
                    let subject = Subject::Shared(score, sharing);
                    rows.push(row(Column::sharing(statistic, WINDOW, 0.2), subject, mean));
                    rows.push(row(Column::sharing(statistic, WINDOW, 0.1), subject, 9.0));
                }
            }
        }
        let text = sentence(&measured(rows.clone())).unwrap();
        for part in [
            "Within a layer: ada-kv weight 0.60 [0.50, 0.70], value 0.70 [",
            "; optimal in layer weight 0.90 [",
            "Over the whole model (9 captures): pyramid-kv weight 1.20 [",
            "; optimal in model weight 1.50 [1.40, 1.60], value 1.60 [1.50, 1.70], removal 1.70 [1.60, 1.80].",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        let gone = rows.remove(0);
        let missing = sentence(&measured(rows)).unwrap_err();
        assert_eq!(
            (missing.row.as_str(), missing.column),
            ("weight, ada-kv", gone.column().to_string())
        );
    }
}
