//! Scatter plots: few points are dots, of many the colour of a cell tells how many fall into it.

use std::ops::Range;

use plotters::coord::combinators::LogCoord;
use plotters::prelude::*;

use crate::canvas::{Area, FONT, category, decades, drawing, figure, power, shade};
use crate::{Figure, PlotError};

/// Cells along each axis of a panel.
const CELLS: usize = 64;

/// Points of a panel that are drawn one by one, as dots.
const FEW: usize = 200;

/// Decades shown at most on a logarithmic axis.
const DECADES: i32 = 14;

/// One panel of points.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterPanel {
    /// Title of the panel.
    pub title: String,
    /// Points (x, y).
    pub points: Vec<(f64, f64)>,
    /// Factors of the diagonal between which a band is drawn, where there is a diagonal.
    pub band: Option<(f64, f64)>,
}

/// The pair of logarithmic axes that all panels share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScatterAxes<'a> {
    /// What stands below the x axis.
    pub x: &'a str,
    /// What stands beside the y axis.
    pub y: &'a str,
    /// Whether both are of one unit: then they have one range, and the diagonal is drawn.
    pub one_unit: bool,
}

/// Points on two logarithmic axes; points not above 0 are left out, and their number stands in the panel's title.
///
/// # Errors
/// [`PlotError::Empty`] where no panel has a point above 0.
pub fn scatter_panels(
    title: &str,
    caption: &str,
    axes: ScatterAxes,
    panels: &[ScatterPanel],
) -> Result<Figure, PlotError> {
    let all = panels.iter().flat_map(|panel| &panel.points);
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = all.filter(|(x, y)| *x > 0.0 && *y > 0.0).copied().unzip();
    if axes.one_unit {
        x.extend(&y);
        y.clone_from(&x);
    }
    let ends = |numbers: Vec<f64>| {
        let span = decades(numbers.into_iter(), DECADES).ok_or_else(|| PlotError::Empty(title.to_owned()))?;
        Ok(10f64.powi(span.start)..10f64.powi(span.end))
    };
    let (x, y) = (ends(x)?, ends(y)?);
    figure(title, caption, (3, panels.len()), (340, 320), |place, area| {
        draw(area, &panels[place], (&x, &y), axes)
    })
}

fn draw(
    area: &Area,
    panel: &ScatterPanel,
    (x, y): (&Range<f64>, &Range<f64>),
    axes: ScatterAxes,
) -> Result<(), PlotError> {
    let within = |ends: &Range<f64>, value: f64| ends.start <= value && value <= ends.end;
    let shown = |point: &&(f64, f64)| within(x, point.0) && within(y, point.1);
    let left_out = panel.points.len() - panel.points.iter().filter(shown).count();
    let title = match left_out {
        0 => panel.title.clone(),
        some => format!("{} ({some} not shown)", panel.title),
    };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, (FONT, 14))
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.08))
        .x_labels(6)
        .y_labels(8)
        .label_style((FONT, 12))
        .x_label_formatter(&|value| power(*value))
        .y_label_formatter(&|value| power(*value))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .draw()
        .map_err(drawing)?;
    if panel.points.len() <= FEW {
        let dots = panel.points.iter().filter(shown);
        let dots = dots.map(|&point| Circle::new(point, 4, category(0).mix(0.6).filled()));
        chart.draw_series(dots).map_err(drawing)?;
    } else {
        draw_cells(&mut chart, panel.points.iter().filter(shown), (x, y))?;
    }
    if axes.one_unit {
        draw_diagonal(&mut chart, panel.band, x)?;
    }
    Ok(())
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;

fn draw_cells<'a>(
    chart: &mut Chart,
    points: impl Iterator<Item = &'a (f64, f64)>,
    (x, y): (&Range<f64>, &Range<f64>),
) -> Result<(), PlotError> {
    let cell = |ends: &Range<f64>, value: f64| {
        let share = (value / ends.start).ln() / (ends.end / ends.start).ln();
        (share * CELLS as f64).min(CELLS as f64 - 1.0) as usize
    };
    let edge = |ends: &Range<f64>, cell: usize| ends.start * (ends.end / ends.start).powf(cell as f64 / CELLS as f64);
    let mut counts = vec![[0u32; CELLS]; CELLS];
    for point in points {
        counts[cell(x, point.0)][cell(y, point.1)] += 1;
    }
    // At least 2: the logarithm of 1 point is 0.
    let most = counts.iter().flatten().fold(2, |most, &count| most.max(count));
    for (i, column) in counts.iter().enumerate() {
        for (j, &count) in column.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = f64::from(count).ln() / f64::from(most).ln();
            let colour = shade(colorous::VIRIDIS, 0.92 * (1.0 - share));
            let corners = [(edge(x, i), edge(y, j)), (edge(x, i + 1), edge(y, j + 1))];
            chart
                .draw_series([Rectangle::new(corners, colour.filled())])
                .map_err(drawing)?;
        }
    }
    Ok(())
}

fn draw_diagonal(chart: &mut Chart, band: Option<(f64, f64)>, ends: &Range<f64>) -> Result<(), PlotError> {
    let (low, high) = (ends.start, ends.end);
    let ray = |factor: f64| {
        let (start, end) = (low.max(low / factor), high.min(high / factor));
        [(start, start * factor), (end, end * factor)]
    };
    chart
        .draw_series(LineSeries::new(ray(1.0), BLACK.stroke_width(1)))
        .map_err(drawing)?;
    if let Some((below, above)) = band {
        for factor in [below, above] {
            if low / high < factor && factor < high / low {
                let style = RGBColor(213, 94, 0).stroke_width(2);
                let line = DashedLineSeries::new(ray(factor), 5, 4, style);
                chart.draw_series(line).map_err(drawing)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: Vec<(f64, f64)>) -> ScatterPanel {
        ScatterPanel {
            title: "a panel".to_owned(),
            points,
            band: Some((0.5, 20.0)),
        }
    }

    const AXES: ScatterAxes = ScatterAxes {
        x: "x",
        y: "y",
        one_unit: true,
    };

    #[test]
    fn what_is_not_shown_is_counted() {
        let panels = [panel(vec![(1e-3, 1e-2), (0.0, 1.0), (1.0, 1.0)])];
        let figure = scatter_panels("Points", "how", AXES, &panels).unwrap();
        assert!(figure.svg().contains("a panel (1 not shown)"));
        assert!(figure.svg().contains("<title>Points</title>"));
        assert_eq!(scatter_panels("Points", "how", AXES, &panels).unwrap(), figure);
        assert!(figure.png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn axes_of_two_units_have_their_own_ranges_and_no_diagonal() {
        let panels = [panel(vec![(1e-3, 1e4), (1e-2, 1e5)])];
        let of = |one_unit| scatter_panels("Points", "", ScatterAxes { one_unit, ..AXES }, &panels).unwrap();
        let lines = |figure: &Figure| figure.svg().matches("<polyline").count();
        let (same, apart) = (of(true), of(false));
        assert!(same.svg().contains("1e0") && !apart.svg().contains("1e0"));
        assert!(lines(&same) > lines(&apart), "the diagonal and the band");
    }

    #[test]
    fn few_points_are_dots_and_many_share_cells() {
        let of = |count: usize| {
            let points = (1..=count).map(|i| (i as f64, i as f64)).collect();
            scatter_panels("Points", "", AXES, &[panel(points)]).unwrap()
        };
        let dots = |figure: &Figure| figure.svg().matches("<circle").count();
        assert_eq!((dots(&of(FEW)), dots(&of(FEW + 1))), (FEW, 0));
    }

    #[test]
    fn nothing_above_zero_is_an_error() {
        let nothing = scatter_panels("Points", "", AXES, &[panel(vec![(0.0, 0.0), (f64::NAN, 1.0)])]);
        assert_eq!(nothing, Err(PlotError::Empty("Points".to_owned())));
    }
}
