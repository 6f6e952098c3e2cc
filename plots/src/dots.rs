//! Dots with their intervals, one row a name: many means beside each other.

use std::ops::Range;

use plotters::prelude::*;

use crate::canvas::{Area, FONT, category, drawing, figure_with_legend, range, row_name};
use crate::{Figure, PlotError};

/// Height of a row, and of what stands above and below all rows.
const ROW: u32 = 23;
const FRAME: u32 = 70;

/// Half the height of a marker in pixels, and the part of a row over which its series are spread.
const MARKER: i32 = 4;
const SHIFT: f64 = 0.8;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct DotRow {
    /// What stands before it.
    pub name: String,
    /// (mean, low, high) of each series; `None` where it has none.
    pub dots: Vec<Option<(f64, f64, f64)>>,
}

/// Rows from above down over one logarithmic axis; each series has a colour and a marker of its own, discs and squares in turn,
/// and `reference` is drawn as a line to compare with. What is not above 0 is left out.
///
/// # Errors
/// [`PlotError::Empty`] where no row has a dot to show.
pub fn dot_rows(
    title: &str,
    caption: &str,
    (x_label, reference): (&str, f64),
    series: &[&str],
    rows: &[DotRow],
) -> Result<Figure, PlotError> {
    let dots = rows.iter().flat_map(|row| row.dots.iter().flatten()).filter(shown);
    let ends = dots.flat_map(|dot| [dot.0, dot.1, dot.2]);
    let empty = || PlotError::Empty(title.to_owned());
    let logarithms = range(ends.map(f64::ln)).ok_or_else(empty)?;
    let (low, high) = (
        logarithms.start.exp().min(reference),
        logarithms.end.exp().max(reference),
    );
    let height = FRAME + ROW * rows.len() as u32;
    figure_with_legend(title, caption, series, (1, 1), (860, height), |_, area| {
        draw(area, low / 1.08..high * 1.08, (x_label, reference), rows)
    })
}

fn shown(dot: &&(f64, f64, f64)) -> bool {
    dot.0 > 0.0 && dot.1 > 0.0 && dot.2.is_finite()
}

fn draw(area: &Area, x: Range<f64>, (x_label, reference): (&str, f64), rows: &[DotRow]) -> Result<(), PlotError> {
    let count = rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(46)
        .y_label_area_size(240)
        .build_cartesian_2d((x.start..x.end).log_scale(), -count..0.0)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.15))
        .x_labels(12)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_label_formatter(&|value| format!("{}", (value * 100.0).round() / 100.0))
        .x_desc(x_label)
        .draw()
        .map_err(drawing)?;
    let line = |from, to, style: ShapeStyle| PathElement::new([from, to], style);
    for (row, dots) in rows.iter().enumerate() {
        let middle = -(row as f64) - 0.5;
        let guide = line((x.start, middle), (x.end, middle), BLACK.mix(0.08).stroke_width(1));
        chart.draw_series([guide]).map_err(drawing)?;
        row_name(area, &dots.name, chart.backend_coord(&(x.start, middle)))?;
    }
    let whole = line((reference, -count), (reference, 0.0), BLACK.mix(0.5).stroke_width(1));
    chart.draw_series([whole]).map_err(drawing)?;
    for (row, dots) in rows.iter().enumerate() {
        for (place, dot) in dots.dots.iter().enumerate() {
            let Some((mean, low, high)) = dot.filter(|dot| shown(&dot)) else {
                continue;
            };
            let offset = SHIFT * ((place as f64 + 0.5) / dots.dots.len() as f64 - 0.5);
            let (y, colour) = (-(row as f64) - 0.5 - offset, category(place));
            let interval = line((low, y), (high, y), colour.stroke_width(2));
            chart.draw_series([interval]).map_err(drawing)?;
            if place % 2 == 0 {
                let disc = Circle::new((mean, y), MARKER, colour.filled());
                chart.draw_series([disc]).map_err(drawing)?;
            } else {
                let square = EmptyElement::at((mean, y))
                    + Rectangle::new([(-MARKER, -MARKER), (MARKER, MARKER)], WHITE.filled())
                    + Rectangle::new([(-MARKER, -MARKER), (MARKER, MARKER)], colour.stroke_width(2));
                chart.draw_series([square]).map_err(drawing)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, dots: &[Option<(f64, f64, f64)>]) -> DotRow {
        DotRow {
            name: name.to_owned(),
            dots: dots.to_vec(),
        }
    }

    #[test]
    fn each_dot_and_interval_is_drawn_once() {
        let rows = [
            row("first", &[Some((1.0, 0.5, 2.0)), Some((2.0, 1.5, 3.0))]),
            row("second", &[Some((4.0, 3.0, 5.0)), None]),
            row("nothing", &[Some((0.0, 0.0, 1.0)), None]),
        ];
        let figure = dot_rows("Dots", "", ("error", 1.0), &["few", "many"], &rows).unwrap();
        for text in ["first", "second", "nothing", "few", "many", "error"] {
            assert!(figure.svg().contains(text), "{text}");
        }
        assert_eq!(figure.svg().matches("<circle").count(), 2);
        assert!(figure.png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        let nothing = dot_rows("Dots", "", ("", 1.0), &["a"], &[row("zero", &[Some((0.0, 0.0, 0.0))])]);
        assert_eq!(nothing, Err(PlotError::Empty("Dots".to_owned())));
    }
}
