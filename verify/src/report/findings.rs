//! What was found, in plain words made from the numbers; no sentence is written that the numbers do not carry.

use obcache_scores::subset::exchange::EXCHANGES;

use super::lookup::{Wanted, interval, show};
use crate::measure::allocation::{Allocation, SCORES};
use crate::measure::projection::PER_HEAD;
use crate::measure::subsets::{BEAM, BEAM_TOKENS, BEAM_WIDTH, SUBSETS, YARDSTICKS};
use crate::measure::{BUDGETS, Interaction, Measurements, PROTECTIONS, Summary};

/// The scores of the paper.
const PAPER: [&str; 3] = ["value", "key", "joint"];

/// What looks at less than they do: the attention weight, pooled or not, and mere position.
const PLAINER: [&str; 4] = ["weight", "weight-maxpool", "weight-avgpool", "streaming-llm"];

/// Sentences about the measurements, the most important first.
pub(super) fn findings(measurements: &Measurements) -> Vec<String> {
    let mut findings = Vec::new();
    for truth in ["removal", "key-zeroing", "joint-zeroing"] {
        findings.extend(papers_scores(measurements, truth));
    }
    for protection in PROTECTIONS {
        for (queries, window) in [("in-window", "all"), ("future", "all"), ("future", "last-32")] {
            findings.extend(paper_against_plainer(measurements, (queries, window), protection));
        }
    }
    findings.extend(sets(measurements));
    findings.extend(subsets(measurements));
    findings.extend(yardsticks(measurements));
    findings.extend(interaction(measurements));
    findings.extend(gauge(measurements));
    findings.extend(spectrum(measurements));
    findings.extend(compensation(measurements));
    findings.extend(projection(measurements));
    findings.extend(allocation(measurements));
    findings
}

/// The paper's scores beside one truth.
fn papers_scores(measurements: &Measurements, truth: &str) -> Option<String> {
    let wanted = Wanted::rank_agreement("all", "in-window", truth);
    let words: Vec<String> = PAPER
        .into_iter()
        .filter_map(|score| wanted.of(measurements, score).map(show))
        .collect();
    (!words.is_empty()).then(|| format!("Rank correlation with {truth} over all queries: {}.", words.join(", ")))
}

/// Whether the paper's scores evict better than the best ranking that looks at less, budget by budget.
fn paper_against_plainer(
    measurements: &Measurements,
    (queries, window): (&str, &str),
    protection: &str,
) -> Option<String> {
    let least = |rows: &[&Summary], names: &[&str]| {
        let named = rows.iter().filter(|row| names.contains(&row.score.as_str())).copied();
        named.min_by(|a, b| a.mean.total_cmp(&b.mean)).cloned()
    };
    let protected = if protection == "none" {
        "nothing protected"
    } else {
        "sinks and recent protected"
    };
    let mut words = Vec::new();
    for budget in [0.05, 0.20, 0.50] {
        let rows = Wanted::regret(window, queries, protection, budget).all(measurements);
        let (Some(paper), Some(plainer)) = (least(&rows, &PAPER), least(&rows, &PLAINER)) else {
            continue;
        };
        let verdict = if paper.low > plainer.high {
            "loses to"
        } else if paper.high < plainer.low {
            "beats"
        } else {
            "cannot be told from"
        };
        words.push(format!(
            "at {:.0} % {} {verdict} {}",
            100.0 * budget,
            show(&paper),
            show(&plainer)
        ));
    }
    (!words.is_empty()).then(|| {
        format!(
            "The best of the paper's scores against the best plainer ranking (weight, pooled or not, or position), {protected}, score window {window}, \
             {queries} queries, error over the oracle's: {}.",
            words.join("; ")
        )
    })
}

/// How far ranking token by token is from choosing a set.
fn sets(measurements: &Measurements) -> Vec<String> {
    let sentence = |queries: &str| {
        let greedy = Wanted::regret("all", queries, "none", 0.2).of(measurements, "greedy")?;
        Some(format!(
            "Greedy exact removal of a set, on {queries} queries at 20 % kept, has {} times the error of ranking tokens by their own exact \
             error.",
            interval(greedy)
        ))
    };
    ["in-window", "future"].into_iter().filter_map(sentence).collect()
}

/// How near the cheap set selections come to greedy removal.
fn subsets(measurements: &Measurements) -> Vec<String> {
    let sentence = |(window, queries): (&str, &str)| {
        let at = |score: &str| -> Vec<String> {
            let budgets = BUDGETS.into_iter().filter_map(|budget| {
                let row = Wanted::over_greedy(window, queries, PROTECTIONS[0], budget).of(measurements, score)?;
                Some(format!("{} at {:.0} %", interval(row), 100.0 * budget))
            });
            budgets.collect()
        };
        let (halving, exchange) = (at(SUBSETS[0]), at(SUBSETS[1]));
        (!halving.is_empty() && !exchange.is_empty()).then(|| {
            format!(
                "Removal by halving, score window {window}, on {queries} queries, has {} times the error of greedy exact removal; \
                 with at most {EXCHANGES} exchanges after it {}.",
                halving.join(", "),
                exchange.join(", ")
            )
        })
    };
    let windows = ["all", "last-32"].into_iter();
    let cases = windows.flat_map(|window| ["in-window", "future"].map(|queries| (window, queries)));
    cases.filter_map(sentence).collect()
}

/// How the dearer and the first-order set selections compare with greedy removal.
fn yardsticks(measurements: &Measurements) -> Option<String> {
    let at = |window: &str, queries: &str| {
        let wanted = Wanted::over_greedy(window, queries, PROTECTIONS[0], 0.2);
        let named = YARDSTICKS.into_iter().filter(|name| *name != "greedy");
        let words = named.filter_map(|name| {
            let row = wanted.of(measurements, name)?;
            let heads = if name == BEAM {
                format!(" ({} heads)", row.heads)
            } else {
                String::new()
            };
            Some(format!("{}{heads}", show(row)))
        });
        words.collect::<Vec<String>>().join(", ")
    };
    let windows = ["all", "last-32"].into_iter().filter_map(|window| {
        let (own, future) = (at(window, "in-window"), at(window, "future"));
        (!own.is_empty() && !future.is_empty())
            .then(|| format!("score window {window}, on in-window queries {own}, on future ones {future}"))
    });
    let windows: Vec<String> = windows.collect();
    (!windows.is_empty()).then(|| {
        format!(
            "Other selections of a set (20 % kept, nothing protected) have these times greedy exact removal's error: {}. gram is greedy \
             removal to first order, cholesky spans the tokens' perturbations, addition starts from nothing kept, beam removes following \
             {BEAM_WIDTH} sets, on heads of at most {BEAM_TOKENS} tokens.",
            windows.join("; ")
        )
    })
}

/// How single errors add up, and the condition under which ranking by them would do.
fn interaction(measurements: &Measurements) -> Option<String> {
    let of = |statistic: &'static str| {
        let wanted = Wanted {
            statistic,
            ..Wanted::regret("all", "in-window", PROTECTIONS[0], 0.2)
        };
        wanted.of(measurements, "removal").map(interval)
    };
    let held = |row: &&Interaction| row.least_cosine_evicted.is_some_and(|cosine| cosine > 0.0);
    let heads = measurements.interactions.len();
    let held = measurements.interactions.iter().filter(held).count();
    Some(format!(
        "Ranking tokens by their own exact error (20 % kept, in-window) leaves {} times the least error known. The set's error is {} times the sum \
         of its tokens' errors, and {} times its first-order error, which does not renormalise; what greedy evicts between 50 and 40 % kept adds \
         one by one {} of what it adds together. The condition under which such a ranking is within a constant factor, that \
         v - o of the evicted tokens lie in a cone, holds on {held} of {heads} heads: {} of the pairs are opposed.",
        of("over_best")?,
        of("over_sum")?,
        of("renormalisation")?,
        of("submodularity")?,
        of("opposed")?
    ))
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

/// How many directions the tokens' perturbations span, of how many there could be.
fn spectrum(measurements: &Measurements) -> Option<String> {
    let rank = |window: &str| {
        let mut rows = measurements.summaries.iter();
        rows.find(|row| row.statistic == "effective_rank" && row.window == window)
    };
    let (all, last) = (rank("all")?, rank("last-32")?);
    let tokens =
        measurements.spectra.iter().map(|row| row.tokens as f64).sum::<f64>() / measurements.spectra.len() as f64;
    Some(format!(
        "The first-order perturbations of {tokens:.0} tokens (mean) span fewer directions than there are tokens: the effective rank of the Gram matrix is {:.0} [{:.0}, {:.0}] over all \
         queries and {:.0} [{:.0}, {:.0}] over the last 32. Single-token scores see only its diagonal.",
        all.mean, all.low, all.high, last.mean, last.low, last.high
    ))
}

/// What the Surgeon's update buys on its own queries, and whether it overfits them.
fn compensation(measurements: &Measurements) -> Vec<String> {
    let sentence = |protection: &str| {
        let wanted = |queries| Wanted::compensation("all", queries, protection, 0.2).of(measurements, "value");
        let (own, later) = (wanted("in-window")?, wanted("future")?);
        let verdict = if later.low > 1.0 {
            "It overfits: there it does harm"
        } else if later.high < 1.0 && later.mean <= 1.1 * own.mean {
            "It holds there"
        } else if later.high < 1.0 {
            "It overfits in part: less is left of the gain there"
        } else {
            "It overfits: there no gain can be told"
        };
        let protected = if protection == "none" {
            "nothing"
        } else {
            "sinks and recent tokens"
        };
        Some(format!(
            "Moving the kept values to make up for the evicted ones (Optimal Brain Surgeon, set of the value score, 20 % kept, {protected} \
             protected, fitted on all queries seen) leaves {} of the error on the queries it was fitted to, and {} on later ones. {verdict}.",
            interval(own),
            interval(later)
        ))
    };
    PROTECTIONS.into_iter().filter_map(sentence).collect()
}

/// What per-head sums miss behind the output projection.
fn projection(measurements: &Measurements) -> Option<String> {
    let of = |statistic, score: &str| {
        let wanted = Wanted {
            statistic,
            window: "all",
            queries: "in-window",
            truth: "removal behind W_O",
            selection: None,
        };
        wanted.of(measurements, score)
    };
    let per_head = format!("{PER_HEAD}, sum");
    let (ratio, apart) = (of("projected_ratio", &per_head)?, of("projected_spearman", &per_head)?);
    let scores = [
        "removal, sum",
        "removal, max",
        "value, sum",
        "value, max",
        "weight, sum",
    ];
    let scores: Vec<String> = scores
        .into_iter()
        .filter_map(|score| of("projected_spearman", score).map(show))
        .collect();
    Some(format!(
        "Behind the output projection the query heads of one KV head lose together {} times the sum of their own errors ({} KV heads); that sum \
         ranks tokens as the whole with correlation {}. Scores joined over the heads: {}.",
        interval(ratio),
        ratio.heads,
        interval(apart),
        scores.join("; ")
    ))
}

/// What sharing a budget among heads and layers is worth.
fn allocation(measurements: &Measurements) -> Option<String> {
    let found = |statistic: &'static str, allocations: &[Allocation]| -> Option<String> {
        let words = allocations.iter().map(|allocation| {
            let of = |score| {
                let name = format!("{score}, {}", allocation.name());
                let row = Wanted::allocation(statistic, 0.2).of(measurements, &name)?;
                Some(format!("{score} {}", interval(row)))
            };
            let scores = SCORES.into_iter().map(of).collect::<Option<Vec<String>>>()?;
            Some(format!("{} {}", allocation.name(), scores.join(", ")))
        });
        Some(words.collect::<Option<Vec<String>>>()?.join("; "))
    };
    let layers = found("layer_over_uniform", &[Allocation::AdaKv, Allocation::OptimalInLayer])?;
    let model = found(
        "model_over_uniform",
        &[Allocation::PyramidKv, Allocation::OptimalInModel],
    )?;
    let captures = Wanted::allocation("model_over_uniform", 0.2).all(measurements);
    Some(format!(
        "Sharing a budget unevenly (20 % kept, nothing protected, score window last-32, future queries) leaves, of the error that the same score has \
         with the uniform budget, within a layer: {layers}. Over the whole model ({} captures): {model}.",
        captures.first()?.heads
    ))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::tests::{measured, row};
    use super::*;
    use crate::agreement::Interval;
    use crate::measure::{GaugeShift, Spectrum};

    #[test]
    fn the_verdict_follows_the_intervals() {
        for (value, expected) in [
            (3.0, "loses to weight"),
            (1.0, "beats weight"),
            (2.1, "cannot be told from weight"),
        ] {
            let wanted = Wanted::regret("all", "future", "none", 0.2);
            let rows = [("weight", 2.0), ("streaming-llm", 5.0), ("value", value), ("key", 9.0)];
            let sentences = findings(&measured(rows.map(|(score, mean)| row(wanted, score, mean)).into()));
            assert_eq!(sentences.len(), 1);
            assert!(sentences[0].contains(expected), "{}", sentences[0]);
        }
    }

    #[test]
    fn an_update_that_only_fits_its_own_queries_is_called_so() {
        let verdict = |later: f64| {
            let wanted = |queries| Wanted::compensation("all", queries, "none", 0.2);
            let rows = vec![
                row(wanted("in-window"), "value", 0.3),
                row(wanted("future"), "value", later),
            ];
            compensation(&measured(rows)).remove(0)
        };
        assert!(verdict(5.0).ends_with("there it does harm."));
        assert!(verdict(1.0).ends_with("no gain can be told."));
        assert!(verdict(0.8).ends_with("less is left of the gain there."));
        assert!(verdict(0.3).ends_with("It holds there."));
    }

    #[test]
    fn every_sentence_states_the_number_of_its_own_rows() {
        let rank = |window, queries| Wanted::rank_agreement(window, queries, "removal");
        let greedy = |queries| Wanted::regret("all", queries, "none", 0.2);
        let effective_rank = |window| Wanted {
            statistic: "effective_rank",
            ..rank(window, "in-window")
        };
        let behind = |statistic| Wanted {
            statistic,
            ..Wanted::rank_agreement("all", "in-window", "removal behind W_O")
        };
        let per_head = format!("{PER_HEAD}, sum");
        let mut measurements = measured(vec![
            row(rank("all", "in-window"), "key", 0.41),
            row(rank("all", "future"), "key", 0.42),
            row(rank("last-32", "in-window"), "key", 0.43),
            row(rank("all", "in-window"), "weight", 0.44),
            row(greedy("in-window"), "greedy", 0.51),
            row(greedy("future"), "greedy", 0.52),
            row(greedy("future"), "joint", 0.53),
            row(effective_rank("all"), "", 61.0),
            row(effective_rank("last-32"), "", 17.0),
            row(behind("projected_ratio"), &per_head, 0.71),
            row(behind("projected_spearman"), &per_head, 0.72),
            row(behind("projected_spearman"), "value, max", 0.73),
        ]);
        let spectrum_of = |tokens: usize| Spectrum {
            capture: String::new(),
            layer: 0,
            head: 0,
            window: "all".to_owned(),
            tokens,
            effective_rank: 61.0,
            diagonal_share: None,
        };
        measurements.spectra = vec![spectrum_of(300), spectrum_of(500)];
        let shift = |score: &str, mean: f64| GaugeShift {
            score: score.to_owned(),
            spearman: Interval {
                mean,
                low: mean,
                high: mean,
                heads: 9,
            },
        };
        measurements.gauge = vec![shift("error of removal", 1.0), shift("joint", 0.82), shift("key", 0.81)];
        for (sentences, expected) in [
            (
                papers_scores(&measurements, "removal").into_iter().collect(),
                vec!["over all queries: key 0.41 [0.31, 0.51]."],
            ),
            (
                papers_scores(&measurements, "key-zeroing").into_iter().collect(),
                vec![],
            ),
            (
                sets(&measurements),
                vec![
                    "on in-window queries at 20 % kept, has 0.51 [",
                    "on future queries at 20 % kept, has 0.52 [",
                ],
            ),
            (
                gauge(&measurements).into_iter().collect(),
                vec![
                    "rank correlation 1.000), yet the key score's order correlates with itself only 0.81 [0.81, 0.81] and the joint score's 0.82",
                ],
            ),
            (
                spectrum(&measurements).into_iter().collect(),
                vec!["of 400 tokens (mean)"],
            ),
            (
                spectrum(&measurements).into_iter().collect(),
                vec!["is 61 [61, 61] over all queries and 17 [17, 17] over the last 32"],
            ),
            (
                projection(&measurements).into_iter().collect(),
                vec!["together 0.71 [0.61, 0.81] times the sum of their own errors (9 KV heads)"],
            ),
            (
                projection(&measurements).into_iter().collect(),
                vec!["with correlation 0.72 [0.62, 0.82]. Scores joined over the heads: value, max 0.73 [0.63, 0.83]."],
            ),
        ] {
            let sentences: Vec<String> = sentences;
            assert_eq!(sentences.len(), expected.len());
            for (sentence, expected) in sentences.iter().zip(expected) {
                assert!(sentence.contains(expected), "{sentence}");
            }
        }
    }

    #[test]
    fn allocations_are_told_apart_by_what_they_share() {
        let mut rows = Vec::new();
        let mut mean = 0.5;
        for (statistic, names) in [
            ("layer_over_uniform", ["ada-kv", "optimal in layer"]),
            ("model_over_uniform", ["pyramid-kv", "optimal in model"]),
        ] {
            for name in names {
                for score in ["weight", "value", "removal"] {
                    mean += 0.1;
                    let named = format!("{score}, {name}");
                    rows.push(row(Wanted::allocation(statistic, 0.2), &named, mean));
                    rows.push(row(Wanted::allocation(statistic, 0.1), &named, 9.0));
                }
            }
        }
        let text = allocation(&measured(rows.clone())).unwrap();
        for part in [
            "within a layer: ada-kv weight 0.60 [0.50, 0.70], value 0.70 [",
            "; optimal in layer weight 0.90 [",
            "Over the whole model (9 captures): pyramid-kv weight 1.20 [",
            "; optimal in model weight 1.50 [1.40, 1.60], value 1.60 [1.50, 1.70], removal 1.70 [1.60, 1.80].",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        rows.remove(0);
        assert_eq!(allocation(&measured(rows)), None);
    }

    #[test]
    fn the_beam_says_over_how_many_heads_it_was_measured() {
        let wanted = |window, queries| Wanted::over_greedy(window, queries, "none", 0.2);
        let mut rows = vec![
            row(wanted("last-32", "in-window"), "beam", 0.9),
            row(wanted("last-32", "in-window"), "gram", 1.5),
            row(wanted("last-32", "future"), "gram", 1.2),
            row(wanted("last-32", "future"), "greedy", 1.0),
            row(wanted("all", "in-window"), "addition", 2.4),
        ];
        let last = "greedy exact removal's error: score window last-32, on in-window queries gram 1.50 [1.40, 1.60], beam 0.90 [0.80, 1.00] \
                    (9 heads), on future ones gram 1.20 [1.10, 1.30]. gram is";
        let text = yardsticks(&measured(rows.clone())).unwrap();
        assert!(text.contains(last), "{text}");
        rows.push(row(wanted("all", "future"), "addition", 0.3));
        let text = yardsticks(&measured(rows)).unwrap();
        let all = "score window all, on in-window queries addition 2.40 [2.30, 2.50], on future ones addition 0.30 [0.20, 0.40]; score window last-32";
        assert!(text.contains(all), "{text}");
    }

    #[test]
    fn nothing_measured_is_nothing_found() {
        assert_eq!(findings(&measured(Vec::new())), Vec::<String>::new());
    }
}
