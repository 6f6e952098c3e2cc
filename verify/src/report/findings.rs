//! What was found, in plain words made from the numbers; no sentence is written that the numbers do not carry.

use crate::measure::{Measurements, Summary};

/// The scores of the paper.
const PAPER: [&str; 3] = ["value", "key", "joint"];

/// What looks at less than they do: the attention weight, pooled or not, and mere position.
const PLAINER: [&str; 4] = ["weight", "weight-maxpool", "weight-avgpool", "streaming-llm"];

/// Rank correlations below this do not count as tracking: less than half of the order's variance is shared.
const TRACKS: f64 = 0.7;

/// Sentences about the measurements, the most important first.
pub(super) fn findings(measurements: &Measurements) -> Vec<String> {
    let mut findings = Vec::new();
    for truth in ["removal", "key-zeroing", "joint-zeroing"] {
        findings.extend(who_tracks(measurements, truth));
    }
    for (queries, window) in [("in-window", "all"), ("future", "all"), ("future", "last-32")] {
        findings.extend(paper_against_plainer(measurements, queries, window));
    }
    findings.extend(sets(measurements));
    findings.extend(gauge(measurements));
    findings.push(
        "No token was protected for being recent or a sink: a ranking is judged by itself. Position alone (streaming-llm) shows what \
         such protection is worth."
            .to_owned(),
    );
    findings
}

/// Means of one statistic.
fn means<'a>(
    measurements: &'a Measurements,
    statistic: &'a str,
    (queries, window): (&'a str, &'a str),
    budget: Option<f64>,
) -> impl Iterator<Item = &'a Summary> {
    measurements.summaries.iter().filter(move |row| {
        row.statistic == statistic && row.queries == queries && row.window == window && row.budget == budget
    })
}

fn show(row: &Summary) -> String {
    format!("{} {:.2} [{:.2}, {:.2}]", row.score, row.mean, row.low, row.high)
}

/// Which inexact score orders tokens most like a truth, and whether any does.
fn who_tracks(measurements: &Measurements, truth: &str) -> Option<String> {
    let mut rows: Vec<&Summary> = means(measurements, "spearman", ("in-window", "all"), None)
        .filter(|row| row.truth == truth && row.score != "removal")
        .collect();
    rows.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    let best = rows.first()?;
    let worst = rows.iter().rev().find(|row| PAPER.contains(&row.score.as_str()))?;
    let verdict = if best.mean < TRACKS {
        format!("No score tracks {truth} over all queries")
    } else {
        format!("{} tracks {truth} best over all queries", best.score)
    };
    Some(format!(
        "{verdict}: rank correlation {}; of the paper's scores the least is {}.",
        show(best),
        show(worst)
    ))
}

/// Whether the paper's scores evict better than the best ranking that looks at less, budget by budget.
fn paper_against_plainer(measurements: &Measurements, queries: &str, window: &str) -> Vec<String> {
    let least = |rows: &[&Summary], names: &[&str]| {
        let named = rows.iter().filter(|row| names.contains(&row.score.as_str())).copied();
        named.min_by(|a, b| a.mean.total_cmp(&b.mean)).cloned()
    };
    let mut sentences = Vec::new();
    for budget in [0.05, 0.20, 0.50] {
        let rows: Vec<&Summary> = means(measurements, "over_oracle", (queries, window), Some(budget)).collect();
        let (Some(paper), Some(plainer)) = (least(&rows, &PAPER), least(&rows, &PLAINER)) else {
            continue;
        };
        let verdict = if paper.low > plainer.high {
            "the paper's scores lose to a plainer ranking"
        } else if paper.high < plainer.low {
            "the best of the paper's scores beats every plainer ranking"
        } else {
            "the best of the paper's scores and the best plainer ranking cannot be told apart"
        };
        sentences.push(format!(
            "Keeping {:.0} % of the tokens, scores over window {window}, judged on {queries} queries, {verdict}: error over the single-token oracle's {} against {}.",
            100.0 * budget,
            show(&paper),
            show(&plainer)
        ));
    }
    sentences
}

/// How far ranking token by token is from choosing a set.
fn sets(measurements: &Measurements) -> Vec<String> {
    let sentence = |queries: &str| {
        let greedy =
            means(measurements, "over_oracle", (queries, "all"), Some(0.2)).find(|row| row.score == "greedy")?;
        Some(format!(
            "Greedy exact removal of a set, on {queries} queries at 20 % kept, has {:.2} [{:.2}, {:.2}] times the error of ranking \
             tokens by their own exact error.",
            greedy.mean, greedy.low, greedy.high
        ))
    };
    ["in-window", "future"].into_iter().filter_map(sentence).collect()
}

/// What a shift of all keys does.
fn gauge(measurements: &Measurements) -> Option<String> {
    let shift = |name: &str| {
        measurements
            .gauge
            .iter()
            .find(|row| row.score == name)
            .map(|row| row.spearman)
    };
    let (key, joint, removal) = (shift("key")?, shift("joint")?, shift("error of removal")?);
    Some(format!(
        "Adding one vector to all keys changes no output (the true errors keep their order, rank correlation {:.3}), yet the key \
         score's order correlates with itself only {:.2} [{:.2}, {:.2}] and the joint score's {:.2} [{:.2}, {:.2}].",
        removal.mean, key.mean, key.low, key.high, joint.mean, joint.low, joint.high
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(statistic: &str, score: &str, budget: Option<f64>, mean: f64) -> Summary {
        Summary {
            statistic: statistic.to_owned(),
            window: "all".to_owned(),
            queries: "future".to_owned(),
            score: score.to_owned(),
            truth: "removal".to_owned(),
            budget,
            mean,
            low: mean - 0.1,
            high: mean + 0.1,
            heads: 9,
        }
    }

    fn measured(summaries: Vec<Summary>) -> Measurements {
        Measurements {
            agreements: Vec::new(),
            regrets: Vec::new(),
            summaries,
            tokens: Vec::new(),
            phi_points: Vec::new(),
            oracle_gap: 0.0,
            gauge: Vec::new(),
            gauge_example: None,
        }
    }

    #[test]
    fn the_verdict_follows_the_intervals() {
        for (value, expected) in [(3.0, "lose to"), (1.0, "beats"), (2.1, "cannot be told apart")] {
            let rows = vec![
                row("over_oracle", "weight", Some(0.2), 2.0),
                row("over_oracle", "streaming-llm", Some(0.2), 5.0),
                row("over_oracle", "value", Some(0.2), value),
                row("over_oracle", "key", Some(0.2), 9.0),
            ];
            let sentences = findings(&measured(rows));
            assert_eq!(sentences.len(), 2);
            assert!(sentences[0].contains(expected), "{}", sentences[0]);
        }
    }

    #[test]
    fn nothing_measured_leaves_only_the_conditions() {
        assert_eq!(findings(&measured(Vec::new())).len(), 1);
    }
}
