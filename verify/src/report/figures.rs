//! Which figures the report shows, and which numbers go into each.

use std::collections::BTreeSet;

use obcache_scores::{Score, phi};
use obd_core::Perturbation;
use plots::{
    Figure, HeatPanel, LineAxes, LinePanel, Map, PlotError, ScatterAxes, ScatterPanel, Series, heat_maps, line_panels,
    map_with_points, scatter_panels,
};

use super::field;
use super::lookup::Wanted;
use crate::measure::{Agreement, BUDGETS, Measurements, PROTECTIONS, TokenRow};

/// Bins along the sequence in the figure of positions.
const BINS: usize = 24;

/// The figures with their file names, in the order of the page; one that has nothing to show is left out.
pub(super) fn draw(measurements: &Measurements) -> Result<Vec<(&'static str, Figure)>, PlotError> {
    let figures = [
        ("saliency-against-removal", against_removal(measurements)),
        ("saliency-against-zeroing", against_zeroing(measurements)),
        ("rank-agreement", rank_agreement(measurements)),
        ("regret", regret(measurements, "future")),
        ("regret-in-window", regret(measurements, "in-window")),
        ("field", field::figure(measurements)),
        ("phi", phi_map(measurements)),
        ("positions", positions(measurements)),
        ("compensation", compensation(measurements)),
        ("gauge", gauge(measurements)),
    ];
    let mut drawn = Vec::new();
    for (name, figure) in figures {
        match figure {
            Ok(figure) => drawn.push((name, figure)),
            Err(PlotError::Empty(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(drawn)
}

fn score(row: &TokenRow, score: Score) -> f64 {
    Score::ALL
        .iter()
        .position(|&other| other == score)
        .map_or(f64::NAN, |place| row.scores[place])
}

fn truth(row: &TokenRow, what: Perturbation) -> f64 {
    Perturbation::ALL
        .iter()
        .position(|&other| other == what)
        .map_or(f64::NAN, |place| row.truths[place])
}

fn cloud(measurements: &Measurements, by: Score, what: Perturbation) -> Vec<(f64, f64)> {
    measurements
        .tokens
        .iter()
        .map(|row| (score(row, by), truth(row, what)))
        .collect()
}

fn sample(measurements: &Measurements) -> String {
    let heads: BTreeSet<_> = measurements
        .tokens
        .iter()
        .map(|row| (&row.id.capture, row.id.layer, row.id.head))
        .collect();
    format!(
        "n = {} tokens of {} heads, all queries in the window",
        measurements.tokens.len(),
        heads.len()
    )
}

fn against_removal(measurements: &Measurements) -> Result<Figure, PlotError> {
    let scores = [
        Score::Value,
        Score::Key,
        Score::Joint,
        Score::KeyLse,
        Score::JointLse,
        Score::Weight,
    ];
    let panels = scores.map(|score| ScatterPanel {
        title: score.name().to_owned(),
        points: cloud(measurements, score, Perturbation::Removal),
        band: None,
    });
    let caption = format!(
        "Each token's saliency against the exact error of its removal, both summed over the queries. On the black diagonal \
         they are equal; what decides an eviction is only the order. Darker cells hold more tokens. {}.",
        sample(measurements)
    );
    scatter_panels(
        "Saliency against the true error of eviction",
        &caption,
        one_unit("saliency", "error of removal"),
        &panels,
    )
}

fn against_zeroing(measurements: &Measurements) -> Result<Figure, PlotError> {
    let pairs = [
        (Score::Value, Perturbation::ValueZeroing),
        (Score::Key, Perturbation::KeyZeroing),
        (Score::Joint, Perturbation::JointZeroing),
    ];
    let panels = pairs.map(|(score, what)| ScatterPanel {
        title: format!("{} against {}", score.name(), what.name()),
        points: cloud(measurements, score, what),
        band: (score == Score::Key).then(|| central_band(measurements)),
    });
    let caption = format!(
        "Each closed form against the perturbation it expands. The value score is exact (claim C9). For the key score the \
         dashed lines are the factors phi² of claim C10: between the 5 % quantile of the tokens' lower bounds and the 95 % \
         quantile of their upper ones. The joint score drops the mixed derivative (claim C11). {}.",
        sample(measurements)
    );
    scatter_panels(
        "Closed forms against what they expand",
        &caption,
        one_unit("saliency", "true error"),
        &panels,
    )
}

fn one_unit<'a>(x: &'a str, y: &'a str) -> ScatterAxes<'a> {
    ScatterAxes { x, y, one_unit: true }
}

/// The 5 % quantile of the lower and the 95 % quantile of the upper bounds of the error over the key score.
fn central_band(measurements: &Measurements) -> (f64, f64) {
    let quantile = |side: usize, share: f64| {
        let mut bounds: Vec<f64> = measurements
            .tokens
            .iter()
            .map(|row| row.phi[side].powi(2))
            .filter(|bound| bound.is_finite())
            .collect();
        bounds.sort_by(f64::total_cmp);
        bounds
            .get((share * bounds.len() as f64) as usize)
            .copied()
            .unwrap_or(1.0)
    };
    (quantile(0, 0.05), quantile(1, 0.95))
}

fn rank_agreement(measurements: &Measurements) -> Result<Figure, PlotError> {
    let wanted = |row: &&Agreement| row.window == "all" && row.queries == "in-window" && row.truth == "removal";
    let rows: Vec<&Agreement> = measurements.agreements.iter().filter(wanted).collect();
    let layers: Vec<usize> = rows
        .iter()
        .map(|row| row.layer)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let heads: Vec<usize> = rows
        .iter()
        .map(|row| row.head)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let cell = |score: &str, layer: usize, head: usize| {
        let here = rows
            .iter()
            .filter(|row| row.score == score && row.layer == layer && row.head == head);
        let values: Vec<f64> = here.filter_map(|row| row.spearman).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let names = ["value", "key", "joint", "key-lse", "joint-lse", "weight"];
    let panels = names.map(|score| HeatPanel {
        title: score.to_owned(),
        rows: layers.iter().map(usize::to_string).collect(),
        columns: heads.iter().map(usize::to_string).collect(),
        values: layers
            .iter()
            .map(|&layer| heads.iter().map(|&head| cell(score, layer, head)).collect())
            .collect(),
    });
    let caption = format!(
        "Spearman's rank correlation of each score with the exact error of removal, by layer and query head, mean over the \
         captures; 1 is the same order, 0 none. {}.",
        sample(measurements)
    );
    heat_maps(
        "Which heads a score ranks rightly",
        &caption,
        ("layer", "query head"),
        &panels,
    )
}

/// Names of the budgets below the axis, in percent.
const TICKS: [&str; BUDGETS.len()] = ["5", "10", "20", "50"];

const REGRET_AXES: LineAxes = LineAxes {
    x: "tokens kept, %",
    ticks: &TICKS,
    y: "error over the oracle's",
    logarithmic: true,
    reference: Some(1.0),
};

fn regret(measurements: &Measurements, queries: &'static str) -> Result<Figure, PlotError> {
    let names = [
        "value",
        "key",
        "joint",
        "weight",
        "removal",
        "greedy",
        "streaming-llm",
        "exchange",
    ];
    let mut panels = Vec::new();
    for window in ["all", "last-32"] {
        for protection in PROTECTIONS {
            let wanted = |budget| Wanted::regret(window, queries, protection, budget);
            let series = names.map(|score| series(score, wanted, measurements));
            panels.push(LinePanel {
                title: format!("score window {window}, protected: {}", protection.replace('-', " ")),
                series: series.into(),
            });
        }
    }
    let whose = match queries {
        "future" => "the queries after the split, which no score has seen",
        _ => "the queries that the score was computed from",
    };
    let caption = format!(
        "True error of the evicted set on {whose}, over that of the set which the exact single-token oracle evicts without \
         protection (the line at 1); geometric mean over the heads, bands are 95 % bootstrap intervals. Left: a ranking decides alone. \
         Right: the first 4 tokens and the most recent half of the rest of the budget are kept whatever it says. removal ranks \
         tokens by their own exact error, greedy evicts one by one what hurts the whole set least, exchange mends what halving, a cheap \
         likeness of greedy, chose, streaming-llm keeps sinks and recent tokens only."
    );
    let title = format!("What an eviction costs at each budget, {queries} queries");
    line_panels(&title, &caption, &REGRET_AXES, &panels)
}

/// The means of one score over the budgets.
fn series<'a>(score: &str, wanted: impl Fn(f64) -> Wanted<'a>, measurements: &'a Measurements) -> Series {
    let point = |(place, budget): (usize, f64)| {
        let row = wanted(budget).of(measurements, score)?;
        Some((place as f64, row.mean, row.low, row.high))
    };
    Series {
        name: score.to_owned(),
        points: BUDGETS.into_iter().enumerate().filter_map(point).collect(),
    }
}

fn compensation(measurements: &Measurements) -> Result<Figure, PlotError> {
    let panel = |queries: &'static str| {
        let wanted = |budget| Wanted::compensation("all", queries, "none", budget);
        LinePanel {
            title: format!("{queries} queries"),
            series: ["value", "greedy"]
                .map(|score| series(score, wanted, measurements))
                .into(),
        }
    };
    let caption = "Error after moving the kept values to make up for the evicted ones, over the error without, for the sets that the value \
        score and greedy exact removal evict, nothing protected; geometric mean over the heads with its 95 % bootstrap interval. The update is \
        Optimal Brain Surgeon's exact least-squares fit on all queries seen: on these (left) it cannot do harm, on later ones (right) it \
        may; with recent tokens protected it does so by orders of magnitude, see the tables.";
    let axes = LineAxes {
        y: "error with the update over without",
        logarithmic: false,
        ..REGRET_AXES
    };
    line_panels(
        "What Optimal Brain Surgeon buys",
        caption,
        &axes,
        &["in-window", "future"].map(panel),
    )
}

fn phi_map(measurements: &Measurements) -> Result<Figure, PlotError> {
    let points = &measurements.phi_points;
    let reach = points
        .iter()
        .fold(1.0f64, |reach, point| reach.max(point.1.abs()))
        .min(30.0)
        .ceil();
    let map = Map {
        x: (1e-6, 1.0 - 1e-9),
        y: (-reach, reach),
        field: phi::phi,
        reach: 10.0,
        points,
    };
    let caption = format!(
        "phi(a, z), the factor by which the true change of the output under key zeroing exceeds the first-order one, whatever \
         the values (claim C10): 1 where the logit z is 0. The dots are {} (weight, logit) pairs of the captures; first \
         order is right where they lie on the pale band.",
        points.len()
    );
    map_with_points(
        "Where first order holds for a zeroed key",
        &caption,
        ("weight a", "logit z"),
        &map,
    )
}

fn positions(measurements: &Measurements) -> Result<Figure, PlotError> {
    let share = |number: fn(&TokenRow) -> f64| -> Vec<(f64, f64, f64, f64)> {
        let totals = bins(measurements, number);
        let sum: f64 = totals.iter().map(|bin| bin.1).sum();
        let mean = |(place, total): (f64, f64)| (place, total / sum, total / sum, total / sum);
        totals.into_iter().filter(|_| sum > 0.0).map(mean).collect()
    };
    let series = vec![
        Series {
            name: "error of removal".to_owned(),
            points: share(|row| truth(row, Perturbation::Removal)),
        },
        Series {
            name: "value".to_owned(),
            points: share(|row| score(row, Score::Value)),
        },
        Series {
            name: "key".to_owned(),
            points: share(|row| score(row, Score::Key)),
        },
        Series {
            name: "joint".to_owned(),
            points: share(|row| score(row, Score::Joint)),
        },
        Series {
            name: "weight".to_owned(),
            points: share(|row| score(row, Score::Weight)),
        },
    ];
    let caption = format!(
        "Share of the total that falls on each twenty-fourth of the sequence, from the first tokens (sinks) to the most recent; \
         an even spread would lie at the line, {:.3}. Early tokens are seen by more queries. {}.",
        1.0 / BINS as f64,
        sample(measurements)
    );
    let panel = LinePanel {
        title: "all heads".to_owned(),
        series,
    };
    let axes = LineAxes {
        x: "position in the sequence, %",
        ticks: &[],
        y: "share of the total",
        logarithmic: false,
        reference: Some(1.0 / BINS as f64),
    };
    line_panels("Where along the sequence the errors sit", &caption, &axes, &[panel])
}

/// Sums by position along the sequence: (centre in percent, sum).
fn bins(measurements: &Measurements, number: fn(&TokenRow) -> f64) -> Vec<(f64, f64)> {
    let mut totals = [0.0; BINS];
    for row in &measurements.tokens {
        totals[row.token.0 * BINS / row.token.1] += number(row);
    }
    let centre = |bin: usize| 100.0 * (bin as f64 + 0.5) / BINS as f64;
    totals
        .into_iter()
        .enumerate()
        .map(|(bin, total)| (centre(bin), total))
        .collect()
}

fn gauge(measurements: &Measurements) -> Result<Figure, PlotError> {
    let Some(example) = &measurements.gauge_example else {
        return Err(PlotError::Empty("gauge".to_owned()));
    };
    let pairs = |(before, after): &(Vec<f64>, Vec<f64>)| before.iter().copied().zip(after.iter().copied()).collect();
    let panel = |title: &str, points| ScatterPanel {
        title: title.to_owned(),
        points,
        band: None,
    };
    let panels = [
        panel("key score", pairs(&example.key)),
        panel("joint score", pairs(&example.joint)),
        panel("error of removal", pairs(&example.removal)),
    ];
    let id = &example.id;
    let caption = format!(
        "Capture {}, layer {}, head {}: every token's number before and after one vector, as long as the mean key, is added to all \
         keys. Weights, outputs and the true error stay as they were; the key and the joint score do not (claim C14). This is the \
         head whose key ranking moves most. n = {} tokens, all queries.",
        id.capture,
        id.layer,
        id.head,
        example.key.0.len()
    );
    scatter_panels(
        "One vector added to all keys",
        &caption,
        one_unit("before", "after"),
        &panels,
    )
}
