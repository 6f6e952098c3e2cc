//! Lines with their confidence bands.

use std::ops::Range;

use plotters::prelude::*;

use crate::canvas::{Area, FONT, category, decades, drawing, figure, range};
use crate::{Figure, PlotError};

/// Decades shown at most on the y axis.
const DECADES: i32 = 14;

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
    /// Its lines.
    pub series: Vec<Series>,
}

/// Lines over a common pair of axes, the y axis logarithmic; points not above 0 are left out.
///
/// # Errors
/// [`PlotError::Empty`] where no panel has a point above 0.
pub fn line_panels(
    title: &str,
    caption: &str,
    (x_label, y_label): (&str, &str),
    panels: &[LinePanel],
) -> Result<Figure, PlotError> {
    let points = || {
        panels
            .iter()
            .flat_map(|panel| &panel.series)
            .flat_map(|series| &series.points)
    };
    let empty = || PlotError::Empty(title.to_owned());
    let x = range(points().map(|point| point.0)).ok_or_else(empty)?;
    let numbers = points().flat_map(|point| [point.1, point.2, point.3]);
    let y = decades(numbers, DECADES).ok_or_else(empty)?;
    // One decade more, so that the legend covers no line.
    let y = 10f64.powi(y.start)..10f64.powi(y.end + 1);
    figure(title, caption, (2, panels.len()), (520, 400), |place, area| {
        draw(area, &panels[place], (x.clone(), y.clone()), (x_label, y_label))
    })
}

fn draw(
    area: &Area,
    panel: &LinePanel,
    (x, y): (Range<f64>, Range<f64>),
    (x_label, y_label): (&str, &str),
) -> Result<(), PlotError> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(&panel.title, (FONT, 14))
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y.log_scale())
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .label_style((FONT, 12))
        .x_desc(x_label)
        .y_desc(y_label)
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(drawing)?;
    for (place, series) in panel.series.iter().enumerate() {
        let colour = category(place);
        let shown: Vec<_> = series
            .points
            .iter()
            .filter(|point| point.1 > 0.0 && point.2 > 0.0)
            .collect();
        let upper = shown.iter().map(|point| (point.0, point.3));
        let lower = shown.iter().rev().map(|point| (point.0, point.2));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        chart
            .draw_series([Polygon::new(band, colour.mix(0.15))])
            .map_err(drawing)?;
        let line = LineSeries::new(shown.iter().map(|point| (point.0, point.1)), colour.stroke_width(2));
        chart
            .draw_series(line)
            .map_err(drawing)?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dots = shown
            .iter()
            .map(|point| Circle::new((point.0, point.1), 3, colour.filled()));
        chart.draw_series(dots).map_err(drawing)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 12))
        .draw()
        .map_err(drawing)
}

/// A number in at most three digits, or as a power of ten where it is far from 1.
fn short(value: f64) -> String {
    match value.abs() {
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
        let figure = line_panels("Lines", "", ("budget", "regret"), &[panel]).unwrap();
        assert!(figure.svg().contains("joint") && figure.svg().contains("a window"));
        assert_eq!(
            line_panels("Lines", "", ("", ""), &[]),
            Err(PlotError::Empty("Lines".to_owned()))
        );
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0001, 0.25, 2.0, 30000.0].map(short), ["1e-4", "0.25", "2", "3e4"]);
    }
}
