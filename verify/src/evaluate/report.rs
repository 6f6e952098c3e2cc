//! The report of an evaluation: page, figures and tables, written when all of it stands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use plots::{
    Figure, HeatPanel, LineAxes, LinePanel, PlotError, ScatterPanel, Series, heat_maps, line_panels, scatter_panels,
};
use serde::Serialize;

use super::page;
use super::summary::{Contest, Line, contests, lines};
use super::{Grouping, Method, Plan, Results, Task, When};
use crate::output::csv_of;
use crate::report::ReportError;

/// All that a page shows.
pub struct Evaluated {
    /// Every method under every budget.
    pub lines: Vec<Line>,
    /// Every heuristic against its replacements.
    pub contests: Vec<Contest>,
}

impl Evaluated {
    /// The summary of finished results.
    pub fn new(results: &Results) -> Self {
        Self {
            lines: lines(results),
            contests: contests(results),
        }
    }
}

/// The outcome in sentences, whichever way it fell.
pub fn findings(evaluated: &Evaluated) -> Vec<String> {
    page::findings(evaluated)
}

/// The files of the report by their path inside its folder, `index.html` last; equal results give equal bytes.
///
/// # Errors
/// [`ReportError`] where a figure, a table or the page cannot be made.
pub fn render(plan: &Plan, results: &Results, evaluated: &Evaluated) -> Result<Vec<(PathBuf, Vec<u8>)>, ReportError> {
    let figures = figures(plan, results, evaluated)?;
    let mut files = vec![
        ("rows.csv".into(), csv_of(&results.rows)?),
        ("heads.csv".into(), csv_of(&results.heads)?),
        (
            "summary.csv".into(),
            csv_of(evaluated.lines.iter().map(FlatLine::from))?,
        ),
        (
            "contests.csv".into(),
            csv_of(evaluated.contests.iter().map(FlatContest::from))?,
        ),
    ];
    for (name, figure) in &figures {
        files.push((format!("figures/{name}.svg").into(), figure.svg().as_bytes().to_vec()));
        files.push((format!("figures/{name}.png").into(), figure.png()?));
    }
    files.push((
        "index.html".into(),
        page::render(plan, evaluated, &figures)?.into_bytes(),
    ));
    Ok(files)
}

#[derive(Serialize)]
struct FlatLine {
    task: &'static str,
    grouping: &'static str,
    when: &'static str,
    method: String,
    budget: u32,
    documents: usize,
    accuracy: f64,
    accuracy_low: f64,
    accuracy_high: f64,
    perplexity: f64,
    divergence: f64,
    divergence_low: f64,
    divergence_high: f64,
    agreement: f64,
    agreement_low: f64,
    agreement_high: f64,
}

impl From<&Line> for FlatLine {
    fn from(line: &Line) -> Self {
        Self {
            task: line.task.name(),
            grouping: line.grouping.name(),
            when: line.when.name(),
            method: line.method.to_string(),
            budget: line.budget,
            documents: line.accuracy.heads,
            accuracy: line.accuracy.mean,
            accuracy_low: line.accuracy.low,
            accuracy_high: line.accuracy.high,
            perplexity: line.perplexity,
            divergence: line.divergence.mean,
            divergence_low: line.divergence.low,
            divergence_high: line.divergence.high,
            agreement: line.agreement.mean,
            agreement_low: line.agreement.low,
            agreement_high: line.agreement.high,
        }
    }
}

#[derive(Serialize)]
struct FlatContest {
    task: &'static str,
    grouping: &'static str,
    when: &'static str,
    heuristic: String,
    replacement: String,
    budget: Option<u32>,
    difference: f64,
    low: f64,
    high: f64,
    p: f64,
    documents: usize,
    verdict: &'static str,
}

impl From<&Contest> for FlatContest {
    fn from(contest: &Contest) -> Self {
        let difference = contest.paired.difference;
        Self {
            task: contest.task.name(),
            grouping: contest.grouping.name(),
            when: contest.when.name(),
            heuristic: contest.heuristic.to_string(),
            replacement: contest.replacement.to_string(),
            budget: contest.budget,
            difference: difference.mean,
            low: difference.low,
            high: difference.high,
            p: contest.paired.p,
            documents: difference.heads,
            verdict: contest.verdict(),
        }
    }
}

type Named = (String, Figure);

fn figures(plan: &Plan, results: &Results, evaluated: &Evaluated) -> Result<Vec<Named>, PlotError> {
    let mut figures = Vec::new();
    let grouping = plan.groupings.first().copied().unwrap_or(Grouping::QueryHead);
    for &task in &plan.tasks {
        let name = match task {
            Task::Text => "text-by-budget".to_owned(),
            _ => format!("{task}-by-budget"),
        };
        figures.extend(present(by_budget(evaluated, (task, grouping)))?.map(|figure| (name, figure)));
        if task != Task::Text {
            let figure = present(by_depth(plan, results, (task, grouping)))?;
            figures.extend(figure.map(|figure| (format!("{task}-by-depth"), figure)));
        }
    }
    figures.extend(present(per_head(results))?.map(|figure| ("divergence-by-head".to_owned(), figure)));
    Ok(figures)
}

/// Nothing to show is no failure: not every evaluation has every figure.
fn present(figure: Result<Figure, PlotError>) -> Result<Option<Figure>, PlotError> {
    match figure {
        Err(PlotError::Empty(_)) => Ok(None),
        figure => figure.map(Some),
    }
}

/// A panel a heuristic: itself, its replacements, and what all are compared with.
fn by_budget(evaluated: &Evaluated, (task, grouping): (Task, Grouping)) -> Result<Figure, PlotError> {
    let number = |line: &Line| match task {
        Task::Text => line.divergence,
        Task::Recall | Task::RecallUnseen => line.accuracy,
    };
    let mut budgets: Vec<u32> = evaluated
        .lines
        .iter()
        .filter(|line| line.method != Method::Full)
        .map(|line| line.budget)
        .collect();
    budgets.sort_unstable();
    budgets.dedup();
    let series = |name: &str, method: &str| {
        let points = evaluated.lines.iter().filter(|line| {
            (line.task, line.grouping, line.when) == (task, grouping, When::Prefill)
                && line.method.to_string() == method
        });
        let point = |line: &Line| {
            let place = budgets.iter().position(|&budget| budget == line.budget)?;
            let interval = number(line);
            Some((place as f64, interval.mean, interval.low, interval.high))
        };
        let mut points: Vec<_> = points.filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series {
            name: name.to_owned(),
            points,
        }
    };
    let panel = |heuristic: &str| LinePanel {
        title: heuristic.to_owned(),
        series: vec![
            series("the heuristic", heuristic),
            series("+ value", &format!("{heuristic}+value")),
            series("+ key", &format!("{heuristic}+key")),
            series("+ joint", &format!("{heuristic}+joint")),
            series("+ removal", &format!("{heuristic}+removal")),
            series("greedy removal", "greedy"),
            series("streaming-llm", "streaming-llm"),
        ],
    };
    let ticks: Vec<String> = budgets.iter().map(|budget| format!("{budget} %")).collect();
    let ticks: Vec<&str> = ticks.iter().map(String::as_str).collect();
    let (title, y, logarithmic) = match task {
        Task::Recall => ("Recall, question seen before the eviction", "right answers", false),
        Task::RecallUnseen => ("Recall, question asked after the eviction", "right answers", false),
        Task::Text => ("Divergence from the whole cache on text", "divergence in nats", true),
    };
    let full = evaluated
        .lines
        .iter()
        .find(|line| line.task == task && line.method == Method::Full);
    let reference = (task != Task::Text)
        .then(|| full.map(|line| line.accuracy.mean))
        .flatten();
    let axes = LineAxes {
        x: "prompt kept",
        ticks: &ticks,
        y,
        logarithmic,
        reference,
    };
    let caption = format!(
        "Eviction after the prefill, {grouping}. One panel a heuristic, with its weight replaced by each output-aware score; \
         bands are 95 % bootstrap intervals over documents. The line across is the whole cache."
    );
    line_panels(title, &caption, &axes, &["h2o", "tova", "snapkv"].map(panel))
}

fn by_depth(plan: &Plan, results: &Results, (task, grouping): (Task, Grouping)) -> Result<Figure, PlotError> {
    let mut cells: BTreeMap<(String, u32, u32), (f64, f64)> = BTreeMap::new();
    for row in results
        .rows
        .iter()
        .filter(|row| (row.task, row.grouping) == (task, grouping))
    {
        let key = (row.method.to_string(), row.depth.unwrap_or_default(), row.budget);
        let cell = cells.entry(key).or_default();
        *cell = (cell.0 + f64::from(u8::from(row.correct)), cell.1 + 1.0);
    }
    let panel = |method: &str| HeatPanel {
        title: method.to_owned(),
        rows: plan.depths.iter().map(|depth| format!("{depth} %")).collect(),
        columns: plan.budgets.iter().map(|budget| format!("{budget} %")).collect(),
        values: plan
            .depths
            .iter()
            .map(|&depth| {
                let cell = |&budget| {
                    cells
                        .get(&(method.to_owned(), depth, budget))
                        .map(|(right, all)| right / all)
                };
                plan.budgets.iter().map(cell).collect()
            })
            .collect(),
    };
    let methods: Vec<String> = plan.methods.iter().map(Method::to_string).collect();
    let shown = [
        "h2o",
        "h2o+joint",
        "h2o+removal",
        "tova",
        "tova+joint",
        "snapkv",
        "snapkv+joint",
        "greedy",
        "streaming-llm",
    ];
    let panels: Vec<HeatPanel> = shown
        .into_iter()
        .filter(|name| methods.iter().any(|m| m == name))
        .map(panel)
        .collect();
    let title = match task {
        Task::RecallUnseen => "Right answers by depth and budget, question asked after the eviction",
        _ => "Right answers by depth and budget, question seen before the eviction",
    };
    let caption =
        format!("Rows: where the code lies in the text; columns: share of the prompt kept. {grouping}, all lengths.");
    heat_maps(title, &caption, ("depth", "kept"), &panels)
}

fn per_head(results: &Results) -> Result<Figure, PlotError> {
    let mut sums: BTreeMap<(String, usize, usize), (f64, f64, f64)> = BTreeMap::new();
    for point in &results.heads {
        let sum = sums
            .entry((point.method.to_string(), point.layer, point.head))
            .or_default();
        *sum = (sum.0 + point.perturbation, sum.1 + point.divergence, sum.2 + 1.0);
    }
    let mut panels: BTreeMap<String, ScatterPanel> = BTreeMap::new();
    for ((method, ..), (perturbation, divergence, count)) in sums {
        let panel = panels.entry(method.clone());
        let panel = panel.or_insert(ScatterPanel {
            title: method,
            points: Vec::new(),
            band: None,
        });
        panel.points.push((perturbation / count, divergence / count));
    }
    let panels: Vec<ScatterPanel> = panels.into_values().collect();
    scatter_panels(
        "What a head's perturbation does to the predictions",
        "One point a query head in which alone 10 % of the prompt is kept, means over texts. The line is only where both numbers are equal.",
        ("squared change of its output, relative", "divergence in nats"),
        &panels,
    )
}
