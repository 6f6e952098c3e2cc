//! What an eviction costs at each budget, and what Optimal Brain Surgeon makes up for.

use obcache_scores::Score;
use obd_core::QueryWindow;
use plots::{Figure, LineAxes, LinePanel, PlotError, Series, line_panels};

use crate::measure::{BUDGETS, Measurements};
use crate::names::{Column, Protected, Queries, Ranking, Selection, SetSelection};

/// Names of the budgets below the axis, in percent.
const TICKS: [&str; BUDGETS.len()] = ["5", "10", "20", "50"];

const REGRET_AXES: LineAxes = LineAxes {
    x: "tokens kept, %",
    ticks: &TICKS,
    y: "error over the oracle's",
    logarithmic: true,
    reference: Some(1.0),
};

/// Error over the oracle's, with protection and without, over two windows.
pub(super) fn figure(measurements: &Measurements, queries: Queries) -> Result<Figure, PlotError> {
    let selections: [Selection; 8] = [
        Score::Value.into(),
        Score::Key.into(),
        Score::Joint.into(),
        Score::Weight.into(),
        Score::Removal.into(),
        SetSelection::Greedy.into(),
        Ranking::StreamingLlm.into(),
        SetSelection::Exchange.into(),
    ];
    let mut panels = Vec::new();
    for window in [QueryWindow::All, QueryWindow::Last(32)] {
        for &protected in Protected::ALL {
            let column = |budget| Column::over_oracle(window, queries, protected, budget);
            let series = selections.map(|selection| series(selection, column, measurements));
            panels.push(LinePanel {
                title: format!(
                    "score window {window}, protected: {}",
                    protected.to_string().replace('-', " ")
                ),
                series: series.into(),
            });
        }
    }
    let whose = match queries {
        Queries::Future => "the queries after the split, which no score has seen",
        Queries::InWindow => "the queries that the score was computed from",
    };
    let caption = format!(
        "True error of the evicted set on {whose}, over that of the set which the exact single-token oracle evicts without \
         protection (the line at 1); geometric mean over the heads, bands are 95 % bootstrap intervals. Left: a ranking decides alone. \
         Right: the first 4 tokens and the most recent half of the rest of the budget are kept whatever it says. removal ranks \
         tokens by their own exact error. greedy evicts, one after the other, the token that hurts the whole set least. exchange swaps tokens \
         in a set that halving, a cheaper form of greedy, chose. streaming-llm keeps sinks and recent tokens only."
    );
    let title = format!("What an eviction costs at each budget, {queries} queries");
    line_panels(&title, &caption, &REGRET_AXES, &panels)
}

/// Error with the Surgeon's update over that without.
pub(super) fn compensation(measurements: &Measurements) -> Result<Figure, PlotError> {
    let panel = |queries| {
        let column = |budget| Column::compensation(QueryWindow::All, queries, Protected::Nothing, budget);
        let selections: [Selection; 2] = [Score::Value.into(), SetSelection::Greedy.into()];
        LinePanel {
            title: format!("{queries} queries"),
            series: selections
                .map(|selection| series(selection, column, measurements))
                .into(),
        }
    };
    let caption = "Error after moving the kept values to make up for the evicted ones, over the error without, for the sets that the value \
        score and greedy exact removal evict, nothing protected; geometric mean over the heads with its 95 % bootstrap interval. The update is \
        Optimal Brain Surgeon's exact least-squares fit on all queries seen: on these (left) it cannot do harm; on later ones (right) it \
        may. The tables show what it does when recent tokens are protected.";
    let axes = LineAxes {
        y: "error with the update over without",
        logarithmic: false,
        ..REGRET_AXES
    };
    line_panels(
        "What Optimal Brain Surgeon buys",
        caption,
        &axes,
        &[Queries::InWindow, Queries::Future].map(panel),
    )
}

/// The means of one selection over the budgets; a budget at which no head has an error has no point.
fn series(selection: Selection, column: impl Fn(f64) -> Column, measurements: &Measurements) -> Series {
    let point = |(place, budget): (usize, f64)| {
        let row = measurements.means.find(column(budget), selection)?;
        Some((place as f64, row.mean, row.low, row.high))
    };
    Series {
        name: selection.to_string(),
        points: BUDGETS.into_iter().enumerate().filter_map(point).collect(),
    }
}
