//! Lines with their confidence bands.

use std::ops::Range;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::canvas::{Area, FONT, category, drawing, figure_with_legend, range};
use crate::{Figure, PlotError};

/// Decades shown at most on a logarithmic y axis.
const DECADES: f64 = 14.0;

/// One line with its band.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y, low, high), ascending in x; `low..high` is the band.
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// One panel of lines.
#[derive(Debug, Clone, PartialEq)]
pub struct LinePanel {
    /// Title of the panel.
    pub title: String,
    /// Its lines; every panel has the same, for they share the legend.
    pub series: Vec<Series>,
}

/// The pair of axes that all panels share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineAxes<'a> {
    /// What stands below the x axis.
    pub x: &'a str,
    /// Words at x = 0, 1, 2 ...; none for an axis of numbers.
    pub ticks: &'a [&'a str],
    /// What stands beside the y axis.
    pub y: &'a str,
    /// Whether the y axis is logarithmic; otherwise it starts at 0.
    pub logarithmic: bool,
    /// A y that is drawn as a line across, to compare with.
    pub reference: Option<f64>,
}

/// Lines over a common pair of axes under one legend; on a logarithmic axis points not above 0 are left out.
///
/// # Errors
/// [`PlotError::Empty`] where no panel has a point to show.
pub fn line_panels(title: &str, caption: &str, axes: &LineAxes, panels: &[LinePanel]) -> Result<Figure, PlotError> {
    let shown = |point: &&(f64, f64, f64, f64)| !axes.logarithmic || (point.1 > 0.0 && point.2 > 0.0);
    let points = || {
        let series = panels.iter().flat_map(|panel| &panel.series);
        series.flat_map(|series| &series.points).filter(shown)
    };
    let empty = || PlotError::Empty(title.to_owned());
    let x = range(points().map(|point| point.0)).ok_or_else(empty)?;
    let margin = 0.03 * (x.end - x.start);
    let x = x.start - margin..x.end + margin;
    let y = range(
        points()
            .flat_map(|point| [point.1, point.2, point.3])
            .chain(axes.reference),
    )
    .ok_or_else(empty)?;
    let first = panels.first().ok_or_else(empty)?;
    let names: Vec<&str> = first.series.iter().map(|series| series.name.as_str()).collect();
    let width = if panels.len() == 1 { 760 } else { 470 };
    figure_with_legend(
        title,
        caption,
        &names,
        (2, panels.len()),
        (width, 340),
        |place, area| {
            let panel = &panels[place];
            if axes.logarithmic {
                draw(area, panel, axes, x.clone(), labelled(&y).log_scale())
            } else {
                draw(area, panel, axes, x.clone(), 0.0..y.end * 1.05)
            }
        },
    )
}

/// The range of a logarithmic axis: somewhat more than `y`, or whole decades where less than two powers of ten, which are all that
/// is labelled, would lie in it.
fn labelled(y: &Range<f64>) -> Range<f64> {
    let ends = y.start.max(y.end * 10f64.powf(-DECADES)) / 1.15..y.end * 1.15;
    let (first, last) = (ends.start.log10().ceil(), ends.end.log10().floor());
    if last - first >= 1.0 {
        return ends;
    }
    10f64.powf(ends.start.log10().floor())..10f64.powf(ends.end.log10().ceil())
}

fn draw<Y>(area: &Area, panel: &LinePanel, axes: &LineAxes, x: Range<f64>, y: Y) -> Result<(), PlotError>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(20)
        .caption(&panel.title, (FONT, 15))
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(x.clone(), y)
        .map_err(drawing)?;
    let tick = |value: &f64| match axes.ticks.get(value.round().max(0.0) as usize) {
        Some(tick) if (value - value.round()).abs() < 1e-9 => (*tick).to_owned(),
        Some(_) => String::new(),
        None => format!("{value:.0}"),
    };
    chart
        .configure_mesh()
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(if axes.ticks.is_empty() { 10 } else { axes.ticks.len() })
        .y_labels(8)
        .x_max_light_lines(1)
        .y_max_light_lines(if axes.logarithmic { 10 } else { 1 })
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&tick)
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(drawing)?;
    if let Some(reference) = axes.reference {
        let line = [(x.start, reference), (x.end, reference)];
        chart
            .draw_series(LineSeries::new(line, BLACK.mix(0.5).stroke_width(1)))
            .map_err(drawing)?;
    }
    for (place, series) in panel.series.iter().enumerate() {
        let colour = category(place);
        let shown: Vec<_> = series
            .points
            .iter()
            .filter(|point| !axes.logarithmic || (point.1 > 0.0 && point.2 > 0.0))
            .collect();
        let upper = shown.iter().map(|point| (point.0, point.3));
        let lower = shown.iter().rev().map(|point| (point.0, point.2));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        if shown.len() == 1 {
            // A band of one point has no width.
            let whisker = PathElement::new(band, colour.mix(0.5).stroke_width(2));
            chart.draw_series([whisker]).map_err(drawing)?;
        } else {
            let band = Polygon::new(band, colour.mix(0.12));
            chart.draw_series([band]).map_err(drawing)?;
        }
        let line = LineSeries::new(shown.iter().map(|point| (point.0, point.1)), colour.stroke_width(2));
        chart.draw_series(line).map_err(drawing)?;
        let dots = shown
            .iter()
            .map(|point| Circle::new((point.0, point.1), 3, colour.filled()));
        chart.draw_series(dots).map_err(drawing)?;
    }
    Ok(())
}

/// A number in at most three digits, or as a power of ten where it is far from 1.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 0.01 => format!("{value:.0e}"),
        middle if middle < 1000.0 => format!("{}", (value * 100.0).round() / 100.0),
        _ => format!("{value:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_its_name_are_drawn() {
        let series = Series {
            name: "joint".to_owned(),
            points: vec![(5.0, 2.0, 1.5, 3.0), (10.0, 1.0, 0.9, 1.2)],
        };
        let panel = LinePanel {
            title: "a window".to_owned(),
            series: vec![series],
        };
        for logarithmic in [false, true] {
            let axes = LineAxes {
                x: "budget",
                ticks: &[],
                y: "regret",
                logarithmic,
                reference: Some(1.0),
            };
            let figure = line_panels("Lines", "", &axes, &[panel.clone(), panel.clone()]).unwrap();
            assert!(figure.svg().contains("a window"));
            assert_eq!(figure.svg().matches("joint").count(), 1, "one legend for both panels");
            let nothing = line_panels("Lines", "", &axes, &[]);
            assert_eq!(nothing, Err(PlotError::Empty("Lines".to_owned())));
        }
    }

    #[test]
    fn ticks_are_words_at_whole_numbers() {
        let series = Series {
            name: "value".to_owned(),
            points: vec![(0.0, 2.0, 1.5, 3.0), (1.0, 1.0, 0.9, 1.2), (2.0, 1.0, 0.9, 1.2)],
        };
        let axes = LineAxes {
            x: "kept",
            ticks: &["five", "ten", "half"],
            y: "error",
            logarithmic: true,
            reference: None,
        };
        let panel = LinePanel {
            title: "a window".to_owned(),
            series: vec![series],
        };
        let figure = line_panels("Lines", "", &axes, &[panel]).unwrap();
        for tick in axes.ticks {
            assert_eq!(figure.svg().matches(tick).count(), 1, "{tick}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_two_labels() {
        assert_eq!(labelled(&(0.02..4.0)), 0.02 / 1.15..4.0 * 1.15);
        for (range, [low, high]) in [
            (0.04..0.5, [0.01, 1.0]),
            (0.2..0.3, [0.1, 1.0]),
            (0.9..1.1, [0.1, 10.0]),
        ] {
            let ends = labelled(&range);
            assert!(
                (ends.start / low - 1.0).abs() < 1e-9 && (ends.end / high - 1.0).abs() < 1e-9,
                "{ends:?}"
            );
        }
    }

    #[test]
    fn the_interval_of_a_single_point_is_a_whisker() {
        let of = |count: usize| {
            let points = (0..count).map(|x| (x as f64, 2.0, 1.5, 3.0)).collect();
            let series = Series {
                name: "value".to_owned(),
                points,
            };
            let panel = LinePanel {
                title: "a window".to_owned(),
                series: vec![series],
            };
            let axes = LineAxes {
                x: "kept",
                ticks: &["5 %", "10 %"],
                y: "error",
                logarithmic: true,
                reference: None,
            };
            line_panels("Lines", "", &axes, &[panel]).unwrap()
        };
        let bands = |figure: &Figure| figure.svg().matches("<polygon").count();
        assert_eq!((bands(&of(1)), bands(&of(2))), (0, 1));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(
            [0.0, 0.0001, 0.25, 2.0, 30000.0].map(short),
            ["0", "1e-4", "0.25", "2", "3e4"]
        );
    }
}
