//! Error growth along decoding, and which tokens died when.

use plots::{Figure, LineAxes, LinePanel, PlotError, Series, line_panels};

use super::ranking::Ranking;
use super::run::{Life, Simulation};

/// Points along the decoding, each a mean over the steps around it.
const POINTS: usize = 32;

/// Bins along the sequence.
const BINS: usize = 32;

/// True error of every step against the full cache, geometric mean over KV heads and neighbouring steps.
///
/// # Errors
/// [`PlotError`] where there is nothing to draw.
pub fn growth(simulation: &Simulation) -> Result<Figure, PlotError> {
    let decoded = simulation.tokens - simulation.prefill;
    let width = decoded.div_ceil(POINTS);
    let series = Ranking::ALL.map(|ranking| {
        let mut sums = vec![(0.0, 0usize); decoded.div_ceil(width)];
        let steps = simulation
            .steps
            .iter()
            .filter(|step| step.ranking == ranking && step.error > 0.0);
        for step in steps {
            let (sum, count) = &mut sums[step.step / width];
            *sum += step.error.ln();
            *count += 1;
        }
        let point = |(place, (sum, count)): (usize, (f64, usize))| {
            let mean = (sum / count as f64).exp();
            let centre = place as f64 * width as f64 + (width as f64 - 1.0) / 2.0;
            (count > 0).then_some((centre, mean, mean, mean))
        };
        Series {
            name: ranking.name().to_owned(),
            points: sums.into_iter().enumerate().filter_map(point).collect(),
        }
    });
    let caption = format!(
        "Squared change of the output against the cache that forgot nothing, over its squared norm, at every decode step after a prefill of {} \
         tokens; geometric mean over the KV heads and {width} steps a point. Lines are what decides who dies.",
        simulation.prefill
    );
    let axes = LineAxes {
        x: "decode step",
        ticks: &[],
        y: "error over squared norm",
        logarithmic: true,
        reference: None,
    };
    let panel = LinePanel {
        title: "all KV heads".to_owned(),
        series: series.into(),
    };
    line_panels("How the error grows along decoding", &caption, &axes, &[panel])
}

/// Share of the KV heads in which a token is alive, by its position, at four moments.
///
/// # Errors
/// [`PlotError`] where there is nothing to draw.
pub fn deaths(simulation: &Simulation) -> Result<Figure, PlotError> {
    let decoded = simulation.tokens - simulation.prefill;
    let moments = [0, decoded / 3, 2 * decoded / 3, decoded];
    let panel = |ranking: Ranking| LinePanel {
        title: ranking.name().to_owned(),
        series: moments.map(|moment| alive(simulation, ranking, moment)).into(),
    };
    let caption = "Share of the tokens still in the cache, by position, after the prefill and along decoding, over all KV heads; a line ends at the \
        last token that has joined by then. Where lines part, tokens died in between.";
    let axes = LineAxes {
        x: "position",
        ticks: &[],
        y: "share alive",
        logarithmic: false,
        reference: None,
    };
    line_panels("Which tokens died when", caption, &axes, &Ranking::ALL.map(panel))
}

fn alive(simulation: &Simulation, ranking: Ranking, moment: usize) -> Series {
    let width = simulation.tokens.div_ceil(BINS);
    let joined = simulation.prefill + moment;
    let mut counts = vec![(0usize, 0usize); joined.div_ceil(width)];
    let lives = simulation
        .lives
        .iter()
        .filter(|life| life.ranking == ranking && life.token < joined);
    for Life { token, died, .. } in lives {
        let (alive, all) = &mut counts[token / width];
        *alive += usize::from(died.is_none_or(|step| step > moment));
        *all += 1;
    }
    let point = |(bin, (alive, all)): (usize, (usize, usize))| {
        let share = alive as f64 / all as f64;
        ((bin as f64 + 0.5) * width as f64, share, share, share)
    };
    Series {
        name: format!("step {moment}"),
        points: counts.into_iter().enumerate().map(point).collect(),
    }
}
