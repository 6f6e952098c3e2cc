//! The answer in plain words, first on the page and in the terminal: which score tracks which truth, where none does, and
//! which score to use. Every sentence is made from the numbers.

use obd_core::Perturbation;

use super::lookup::{Wanted, interval, show};
use crate::measure::subsets::{SUBSETS, YARDSTICKS};
use crate::measure::{Measurements, PROTECTIONS, Summary, WINDOWS};

/// Rank correlations below this do not count as tracking: less than half of the order's variance is shared.
const TRACKS: f64 = 0.7;

/// Rankings from the cheapest to the dearest to compute.
const CHEAPEST: [&str; 7] = [
    "streaming-llm",
    "weight",
    "weight-maxpool",
    "weight-avgpool",
    "value-p1",
    "value",
    "removal",
];

/// Budget of the recommendation.
const BUDGET: f64 = 0.2;

/// The sentences, each with the question that it answers.
pub(super) fn answer(measurements: &Measurements) -> Vec<(&'static str, String)> {
    let mut answer = Vec::new();
    answer.extend(tracking(measurements).map(|text| ("Which score tracks which truth?", text)));
    answer.extend(untracked(measurements).map(|text| ("Where does none?", text)));
    answer.extend(to_use(measurements).map(|text| ("Which score to use?", text)));
    answer.extend(protection(measurements).map(|text| ("What does protecting sinks and recent tokens do?", text)));
    answer
}

/// The score that is no restatement of the truth and correlates best.
fn best(measurements: &Measurements, wanted: Wanted) -> Option<Summary> {
    let exact = |row: &Summary| {
        let pair = (row.score.as_str(), wanted.truth);
        matches!(pair, ("removal", "removal") | ("value", "value-zeroing"))
    };
    let rows = wanted.all(measurements).into_iter().filter(|row| !exact(row));
    rows.max_by(|a, b| a.mean.total_cmp(&b.mean)).cloned()
}

fn tracking(measurements: &Measurements) -> Option<String> {
    let word = |truth: &str| {
        let best = best(measurements, Wanted::rank_agreement("all", "in-window", truth))?;
        Some(format!("{truth} by {}", show(&best)))
    };
    let words: Vec<String> = ["removal", "key-zeroing", "joint-zeroing"]
        .into_iter()
        .filter_map(word)
        .collect();
    (!words.is_empty()).then(|| {
        format!(
            "What eviction does to the output is removal. Rank correlation with the truth, summed over all queries, is highest for {}. \
             Exact by their formula, and so not counted: removal for removal, value for value-zeroing.",
            words.join(", for ")
        )
    })
}

/// The truths and windows for which no inexact score tracks, on the queries scored and on later ones.
fn untracked(measurements: &Measurements) -> Option<String> {
    let mut sentences = Vec::new();
    for queries in ["in-window", "future"] {
        let mut measured = false;
        let mut words = Vec::new();
        for truth in Perturbation::ALL.map(Perturbation::name) {
            let best: Vec<(&str, Summary)> = WINDOWS
                .into_iter()
                .filter_map(|(window, _)| {
                    Some((
                        window,
                        best(measurements, Wanted::rank_agreement(window, queries, truth))?,
                    ))
                })
                .collect();
            measured |= !best.is_empty();
            let none: Vec<&str> = best.iter().filter(|row| row.1.mean < TRACKS).map(|row| row.0).collect();
            let highest = best.iter().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
            if let (Some((window, highest)), false) = (highest, none.is_empty()) {
                let windows = none.join(", ");
                words.push(format!(
                    "{truth} (window {windows}; at best {} over {window})",
                    show(highest)
                ));
            }
        }
        if measured && words.is_empty() {
            sentences.push(format!("On {queries} queries every truth is tracked in every window."));
        } else if measured {
            sentences.push(format!(
                "On {queries} queries no score but the truth itself has a rank correlation of {TRACKS} with {}.",
                words.join(", ")
            ));
        }
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// The best ranking on future queries, with the protection that servers use or without, and the cheapest one as good.
fn to_use(measurements: &Measurements) -> Option<String> {
    let choices = WINDOWS
        .into_iter()
        .flat_map(|(window, _)| PROTECTIONS.map(|protection| (window, protection)));
    let rows: Vec<&Summary> = choices
        .flat_map(|(window, protection)| Wanted::relative_error(window, "future", protection, BUDGET).all(measurements))
        .filter(|row| !YARDSTICKS.contains(&row.score.as_str()))
        .collect();
    let best = rows.iter().min_by(|a, b| a.mean.total_cmp(&b.mean))?;
    let beside = |row: &&&Summary| row.window == best.window && row.protection == best.protection;
    let as_good = |row: &&&Summary| row.low <= best.high && beside(row);
    let alike = rows.iter().filter(as_good).count() - 1;
    let others = rows.iter().filter(beside).count() - 1;
    let cheapest = CHEAPEST
        .into_iter()
        .find_map(|score| rows.iter().filter(as_good).find(|row| row.score == score))?;
    let position = rows.iter().filter(beside).find(|row| row.score == "streaming-llm")?;
    let protect = if best.protection.as_deref() == Some(PROTECTIONS[0]) {
        "Protect nothing, and let the score decide on all tokens"
    } else {
        "Keep the first 4 tokens and the most recent half of the budget, and let the score decide on the rest"
    };
    Some(format!(
        "{protect}, summed over the window {}. With {:.0} % kept, judged on later queries, {} then has the least error ({} of the output's \
         squared norm); of the {others} other rankings over this window {alike} cannot be told from it, the cheapest of them being {} ({}). \
         Position alone has {}.",
        best.window,
        100.0 * BUDGET,
        best.score,
        interval(best),
        cheapest.score,
        interval(cheapest),
        interval(position)
    ))
}

/// What protecting sinks and recent tokens is worth, beside what the choice of score is worth.
fn protection(measurements: &Measurements) -> Option<String> {
    let of = |protection: &'static str| {
        let rows = Wanted::regret("all", "future", protection, BUDGET).all(measurements);
        let named = rows
            .into_iter()
            .filter(|row| row.score != "streaming-llm")
            .filter(|row| !SUBSETS.iter().chain(&YARDSTICKS).any(|name| row.score == *name));
        let means: Vec<f64> = named.map(|row| row.mean).collect();
        let ends = (
            means.iter().copied().fold(f64::INFINITY, f64::min),
            means.iter().copied().fold(0.0, f64::max),
        );
        (!means.is_empty()).then_some(ends)
    };
    let (bare, kept) = (of(PROTECTIONS[0])?, of(PROTECTIONS[1])?);
    let verdict = if kept.1 < bare.0 {
        "It gains more than any choice of score"
    } else if kept.0 > bare.1 {
        "It does more harm than any choice of score mends"
    } else {
        "No more than the choice of score does"
    };
    Some(format!(
        "{verdict}. Summed over all queries, with {:.0} % kept and judged on later queries, the scores lie between {:.2} \
         and {:.2} without protection and between {:.2} and {:.2} with it (error over the oracle's without protection).",
        100.0 * BUDGET,
        bare.0,
        bare.1,
        kept.0,
        kept.1
    ))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::tests::{measured, row};
    use super::*;

    #[test]
    fn a_score_that_is_the_truth_does_not_count_as_tracking_it() {
        let wanted = Wanted::rank_agreement("all", "in-window", "removal");
        let measurements = measured(vec![
            row(wanted, "removal", 1.0),
            row(wanted, "key", 0.6),
            row(wanted, "value", 0.5),
        ]);
        let text = tracking(&measurements).unwrap();
        assert!(text.contains("removal by key 0.60"), "{text}");
        let text = untracked(&measurements).unwrap();
        assert!(text.contains("with removal (window all; at best key 0.60"), "{text}");
        let tracked = measured(vec![row(wanted, "key", 0.8)]);
        assert!(untracked(&tracked).unwrap().contains("every truth is tracked"));
    }

    #[test]
    fn the_cheapest_that_cannot_be_told_from_the_best_is_named() {
        let wanted = Wanted::relative_error("last-32", "future", PROTECTIONS[1], BUDGET);
        let rows = [
            ("removal", 0.5),
            ("value", 0.55),
            ("weight", 0.6),
            ("streaming-llm", 0.9),
            ("greedy", 0.1),
        ];
        let measurements = measured(rows.map(|(score, mean)| row(wanted, score, mean)).into());
        let text = to_use(&measurements).unwrap();
        assert!(text.contains("removal then has the least error (0.50"), "{text}");
        assert!(
            text.contains("of the 3 other rankings over this window 2 cannot"),
            "{text}"
        );
        assert!(
            text.contains("being weight (0.60") && text.contains("Position alone has 0.90"),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_protected_where_protection_does_harm() {
        let wanted = |protection| Wanted::relative_error("all", "future", protection, BUDGET);
        let rows = |protected: f64| {
            let bare = [("value", 0.5), ("weight", 0.55), ("streaming-llm", 0.9)];
            let mut rows = bare.map(|(score, mean)| row(wanted("none"), score, mean)).to_vec();
            let kept = [("key", protected), ("value", protected), ("streaming-llm", 0.8)];
            rows.extend(kept.map(|(score, mean)| row(wanted("sinks-and-recent"), score, mean)));
            to_use(&measured(rows)).unwrap()
        };
        let text = rows(0.7);
        assert!(
            text.starts_with("Protect nothing") && text.contains("value then has"),
            "{text}"
        );
        assert!(
            text.contains("of the 2 other") && text.contains("being weight (0.55") && text.ends_with("[0.80, 1.00]."),
            "{text}"
        );
        let text = rows(0.4);
        assert!(
            text.starts_with("Keep the first 4") && text.ends_with("[0.70, 0.90]."),
            "{text}"
        );
    }

    #[test]
    fn the_spread_of_scores_is_set_beside_the_gain_of_protection() {
        let wanted = |protection| Wanted::regret("all", "future", protection, BUDGET);
        for (kept, verdict) in [
            (0.3, "It gains more"),
            (1.1, "No more than"),
            (1.5, "It does more harm"),
        ] {
            let mut rows = vec![row(wanted("none"), "key", 1.2), row(wanted("none"), "value", 1.0)];
            rows.push(row(wanted("sinks-and-recent"), "key", kept));
            let text = protection(&measured(rows)).unwrap();
            let spread = format!("between {kept:.2} and {kept:.2}");
            assert!(
                text.starts_with(verdict) && text.contains("between 1.00 and 1.20"),
                "{text}"
            );
            assert!(text.contains(&spread), "{text}");
        }
    }

    #[test]
    fn nothing_measured_answers_nothing() {
        assert!(answer(&measured(Vec::new())).is_empty());
    }
}
