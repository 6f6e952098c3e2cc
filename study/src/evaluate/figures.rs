//! The figures of an evaluation.

use std::collections::BTreeMap;

use obcache_scores::Score;
use plots::{
    Figure, HeatPanel, LineAxes, LinePanel, PlotError, ScatterAxes, ScatterPanel, Series, heat_maps, line_panels,
    scatter_panels,
};

use super::evaluated::Evaluated;
use super::summary::{Line, Setting};
use super::{EvaluationPlan, Form, Grouping, Method, Results, Task, When};

type Named = (String, Figure);

/// The figures with their file names, in the order of the page; one that has nothing to show is left out.
pub(super) fn figures(
    plan: &EvaluationPlan,
    results: &Results,
    evaluated: &Evaluated,
) -> Result<Vec<Named>, PlotError> {
    let (Some(&grouping), Some(&when)) = (plan.groupings.first(), plan.when.iter().min()) else {
        // Such a plan thins no cache, and there is nothing to compare.
        return Ok(Vec::new());
    };
    let mut figures = Vec::new();
    for &task in &plan.tasks {
        let name = match task {
            Task::Text => "text-by-budget".to_owned(),
            _ => format!("{task}-by-budget"),
        };
        figures.extend(present(by_budget(evaluated, (task, grouping, when)))?.map(|figure| (name, figure)));
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
fn by_budget(evaluated: &Evaluated, (task, grouping, when): Setting) -> Result<Figure, PlotError> {
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
    let series = |name: &str, method: Method| {
        let points = evaluated
            .lines
            .iter()
            .filter(|line| (line.task, line.grouping, line.when) == (task, grouping, when) && line.method == method);
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
    let panel = |form: Form| {
        let heuristic = Method::Scored(Score::Weight, form);
        LinePanel {
            title: heuristic.to_string(),
            series: vec![
                series("the heuristic", heuristic),
                series("+ value", Method::Scored(Score::Value, form)),
                series("+ key", Method::Scored(Score::Key, form)),
                series("+ joint", Method::Scored(Score::Joint, form)),
                series("+ removal", Method::Scored(Score::Removal, form)),
                series("greedy removal", Method::Greedy),
                series("streaming-llm", Method::StreamingLlm),
            ],
        }
    };
    let panels = run_alone([Form::H2o, Form::Tova, Form::SnapKv].map(panel).to_vec());
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
    let evicted = match when {
        When::Prefill => "once, after the prompt",
        When::Decode => "after the prompt and after every decoded token",
    };
    let across = reference.map_or("", |_| " The line across is the whole cache.");
    let caption = format!(
        "Eviction {evicted}, {grouping}. One panel a heuristic, with its weight replaced by each output-aware score; bands are \
         95 % bootstrap intervals over documents.{across}"
    );
    line_panels(title, &caption, &axes, &panels)
}

/// Without the panels whose heuristic was not run, and without the series that no panel has: the legend names what was run.
fn run_alone(mut panels: Vec<LinePanel>) -> Vec<LinePanel> {
    panels.retain(|panel| !panel.series[0].points.is_empty());
    // Without a panel there is no series.
    let places = 0..panels.first().map_or(0, |panel| panel.series.len());
    let drawn: Vec<bool> = places
        .map(|place| panels.iter().any(|panel| !panel.series[place].points.is_empty()))
        .collect();
    for panel in &mut panels {
        let mut drawn = drawn.iter();
        panel.series.retain(|_| drawn.next() == Some(&true));
    }
    panels
}

fn by_depth(plan: &EvaluationPlan, results: &Results, (task, grouping): (Task, Grouping)) -> Result<Figure, PlotError> {
    let mut cells: BTreeMap<(String, u32, u32), (f64, f64)> = BTreeMap::new();
    for row in results
        .rows
        .iter()
        .filter(|row| (row.task, row.grouping) == (task, grouping))
    {
        let Some(depth) = row.depth else { continue };
        let cell = cells.entry((row.method.to_string(), depth, row.budget)).or_default();
        *cell = (cell.0 + f64::from(u8::from(row.correct)), cell.1 + 1.0);
    }
    let panel = |method: Method| HeatPanel {
        title: method.to_string(),
        rows: plan.depths.iter().map(|depth| format!("{depth} %")).collect(),
        columns: plan.budgets.iter().map(|budget| format!("{budget} %")).collect(),
        values: plan
            .depths
            .iter()
            .map(|&depth| {
                let cell = |&budget| {
                    cells
                        .get(&(method.to_string(), depth, budget))
                        .map(|(right, all)| right / all)
                };
                plan.budgets.iter().map(cell).collect()
            })
            .collect(),
    };
    let shown = [
        Method::Scored(Score::Weight, Form::H2o),
        Method::Scored(Score::Joint, Form::H2o),
        Method::Scored(Score::Removal, Form::H2o),
        Method::Scored(Score::Weight, Form::Tova),
        Method::Scored(Score::Joint, Form::Tova),
        Method::Scored(Score::Weight, Form::SnapKv),
        Method::Scored(Score::Joint, Form::SnapKv),
        Method::Greedy,
        Method::StreamingLlm,
    ];
    let run = shown.into_iter().filter(|method| plan.methods.contains(method));
    let panels: Vec<HeatPanel> = run.map(panel).collect();
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
        "One point a query head in which alone 10 % of the prompt is kept, means over texts.",
        ScatterAxes {
            x: "squared change of its output, relative",
            y: "divergence in nats",
            one_unit: false,
        },
        &panels,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: usize) -> Series {
        let name = name.to_owned();
        let points = vec![(0.0, 1.0, 1.0, 1.0); points];
        Series { name, points }
    }

    #[test]
    fn the_legend_names_what_was_run() {
        let panel = |title: &str, points: [usize; 3]| LinePanel {
            title: title.to_owned(),
            series: vec![
                series("the heuristic", points[0]),
                series("+ joint", points[1]),
                series("greedy removal", points[2]),
            ],
        };
        let panels = run_alone(vec![
            panel("h2o", [1, 0, 0]),
            panel("tova", [1, 1, 0]),
            panel("snapkv", [0, 0, 0]),
        ]);
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["h2o", "tova"]);
        for panel in panels {
            let names: Vec<&str> = panel.series.iter().map(|series| series.name.as_str()).collect();
            assert_eq!(names, ["the heuristic", "+ joint"], "all panels share the legend");
        }
        assert_eq!(run_alone(Vec::new()), []);
    }
}
