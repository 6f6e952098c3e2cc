//! The page of an evaluation: one file that opens without a network.

use obcache_scores::Score;
use plots::Figure;

use super::evaluated::Evaluated;
use super::summary::{Contest, Line, Verdict};
use super::{EvaluationPlan, Method, Task, When};
use crate::agreement::Interval;
use crate::page::{Page, PageTable};
use crate::report::ReportError;
use crate::table::Table;

/// What the page says before its findings.
const INTRODUCTION: &str = "A prompt is read with the whole cache, a score then evicts, and the model goes on with what is left. Each number is a mean over \
    documents with its 95 % bootstrap interval; contests are paired document by document, p by a sign-flip test, not corrected for their number. \
    <em>Recall</em> asks for a code hidden in text at the end of the prompt; in <em>recall-unseen</em> the question comes after the eviction; \
    <em>text</em> goes on with plain text. <code>X+score</code> is heuristic X with its weight replaced by the score.";

pub(super) fn render(
    plan: &EvaluationPlan,
    evaluated: &Evaluated,
    figures: &[(String, Figure)],
) -> Result<String, ReportError> {
    let page = Page {
        title: format!("What evicting costs {}", plan.model),
        introduction: INTRODUCTION,
        findings: findings(evaluated),
        figures: figures.iter().map(|(_, figure)| figure).collect(),
        tables: tables(plan, evaluated),
        files: &["rows.csv", "summary.csv", "contests.csv", "heads.csv"],
    };
    Ok(page.render()?)
}

/// The outcome in sentences, whichever way it fell.
pub(super) fn findings(evaluated: &Evaluated) -> Vec<String> {
    let mut findings = Vec::new();
    for line in evaluated.lines.iter().filter(|line| line.method == Method::Full) {
        findings.push(match line.task {
            Task::Text => format!(
                "With the whole cache the texts have a perplexity of {:.2}.",
                line.perplexity
            ),
            task => format!(
                "With the whole cache {} of the {task} answers are right.",
                percent(&line.accuracy)
            ),
        });
    }
    findings.extend(tally(evaluated));
    let pooled = evaluated.contests.iter().filter(|contest| contest.budget.is_none());
    findings.extend(pooled.map(sentence));
    findings
}

/// How the contests over all budgets fell, setting by setting.
fn tally(evaluated: &Evaluated) -> Vec<String> {
    let paper = |contest: &&Contest| {
        contest.budget.is_none() && !matches!(contest.replacement, Method::Scored(Score::Removal, _))
    };
    let mut settings: Vec<_> = evaluated
        .contests
        .iter()
        .map(|c| (c.task, c.grouping, c.when))
        .collect();
    settings.dedup();
    let of = |setting| {
        let all = evaluated
            .contests
            .iter()
            .filter(paper)
            .filter(move |c| (c.task, c.grouping, c.when) == setting);
        let count = |verdict| all.clone().filter(|contest| contest.verdict() == verdict).count();
        let (task, grouping, when) = setting;
        format!(
            "{task}, {grouping}, eviction {}: the paper's scores replace the weight of a heuristic in {} contests; {} replacements are better, {} \
             are worse, and {} cannot be told apart (p < 0.05 each, over all budgets).",
            when.name(),
            all.clone().count(),
            count(Verdict::Better),
            count(Verdict::Worse),
            count(Verdict::Undecided)
        )
    };
    settings.into_iter().map(of).collect()
}

fn sentence(contest: &Contest) -> String {
    let Contest {
        task,
        grouping,
        when,
        heuristic,
        replacement,
        ..
    } = contest;
    let Interval { mean, low, high, .. } = contest.paired.difference;
    let change = match task {
        Task::Text => {
            let [mean, low, high] = [mean, low, high].map(f64::exp);
            format!("{mean:.2} [{low:.2}, {high:.2}] times the divergence")
        }
        _ => {
            let [mean, low, high] = [mean, low, high].map(|x| 100.0 * x);
            format!("{mean:+.1} [{low:+.1}, {high:+.1}] points of right answers")
        }
    };
    let (when, p, verdict) = (when.name(), contest.paired.p, contest.verdict());
    format!("{task}, {grouping}, {when}: {replacement} against {heuristic} has {change} (p = {p:.4}; {verdict}).")
}

fn tables(plan: &EvaluationPlan, evaluated: &Evaluated) -> Vec<PageTable> {
    let mut settings: Vec<_> = evaluated
        .lines
        .iter()
        .map(|line| (line.task, line.grouping, line.when))
        .collect();
    settings.dedup();
    let budgets = plan.budgets.iter().map(|budget| format!("{budget} %"));
    let mut tables = Vec::new();
    for (task, grouping, when) in settings {
        let title = |what: &str| format!("{what}: {task}, {grouping}, eviction {}", when.name());
        let table = |what, number: fn(&Line) -> String| PageTable {
            title: title(what),
            open: false,
            table: Table::new(
                ["kept".to_owned()].into_iter().chain(budgets.clone()),
                rows(plan, evaluated, (task, grouping, when), number),
            ),
        };
        if task == Task::Text {
            tables.push(table("Divergence in nats", |line| interval(&line.divergence)));
            tables.push(table("Perplexity", |line| format!("{:.3}", line.perplexity)));
            tables.push(table("Agreement of the next token, %", |line| percent(&line.agreement)));
        } else {
            tables.push(table("Right answers, %", |line| percent(&line.accuracy)));
        }
    }
    tables
}

fn rows(
    plan: &EvaluationPlan,
    evaluated: &Evaluated,
    setting: (Task, super::Grouping, When),
    number: fn(&Line) -> String,
) -> Vec<Vec<String>> {
    let row = |method: &Method| {
        let line = |budget: &u32| {
            let lines = evaluated
                .lines
                .iter()
                .filter(|line| (line.task, line.grouping, line.when) == setting);
            lines
                .into_iter()
                .find(|line| line.method == *method && line.budget == *budget)
        };
        let cells: Vec<String> = plan
            .budgets
            .iter()
            .map(|budget| line(budget).map_or(String::new(), number))
            .collect();
        cells
            .iter()
            .any(|cell| !cell.is_empty())
            .then(|| [vec![method.to_string()], cells].concat())
    };
    plan.methods.iter().filter_map(row).collect()
}

fn percent(interval: &Interval) -> String {
    let [mean, low, high] = [interval.mean, interval.low, interval.high].map(|x| 100.0 * x);
    format!("{mean:.0} [{low:.0}, {high:.0}]")
}

fn interval(interval: &Interval) -> String {
    format!("{:.3} [{:.3}, {:.3}]", interval.mean, interval.low, interval.high)
}
