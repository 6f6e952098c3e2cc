//! Heat maps whose cells also print their value.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::canvas::{Area, FONT, drawing, figure, shade};
use crate::{Figure, PlotError};

/// One heat map; `values[row][column]`, `None` where there is no value.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatPanel {
    /// Title of the panel.
    pub title: String,
    /// Labels of the rows, from the top.
    pub rows: Vec<String>,
    /// Labels of the columns.
    pub columns: Vec<String>,
    /// Values by row and column.
    pub values: Vec<Vec<Option<f64>>>,
}

/// Heat maps of numbers from -1 to 1, 0 in the middle of the colours.
///
/// # Errors
/// [`PlotError::Empty`] where a panel has no cell.
pub fn heat_maps(
    title: &str,
    caption: &str,
    (row_axis, column_axis): (&str, &str),
    panels: &[HeatPanel],
) -> Result<Figure, PlotError> {
    let columns = panels.iter().map(|panel| panel.columns.len()).max().unwrap_or(0) as u32;
    let rows = panels.iter().map(|panel| panel.rows.len()).max().unwrap_or(0) as u32;
    if columns == 0 || rows == 0 {
        return Err(PlotError::Empty(title.to_owned()));
    }
    let size = ((columns * 40 + 90).max(250), rows * 26 + 90);
    figure(title, caption, (3, panels.len()), size, |place, area| {
        draw(area, &panels[place], (row_axis, column_axis))
    })
}

fn draw(area: &Area, panel: &HeatPanel, (row_axis, column_axis): (&str, &str)) -> Result<(), PlotError> {
    let (rows, columns) = (panel.rows.len(), panel.columns.len());
    if rows == 0 || columns == 0 {
        return Err(PlotError::Empty(panel.title.clone()));
    }
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(&panel.title, (FONT, 14))
        .x_label_area_size(36)
        .y_label_area_size(50)
        .build_cartesian_2d((0..columns - 1).into_segmented(), (0..rows - 1).into_segmented())
        .map_err(drawing)?;
    let label = |labels: &[String], place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(place) => labels.get(*place).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let from_top: Vec<String> = panel.rows.iter().rev().cloned().collect();
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(columns)
        .y_labels(rows)
        .label_style((FONT, 12))
        .x_label_formatter(&|place| label(&panel.columns, place))
        .y_label_formatter(&|place| label(&from_top, place))
        .x_desc(column_axis)
        .y_desc(row_axis)
        .draw()
        .map_err(drawing)?;
    for (row, values) in panel.values.iter().enumerate().take(rows) {
        let y = rows - 1 - row;
        for (x, value) in values.iter().enumerate().take(columns) {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                continue;
            };
            let corners = [
                (SegmentValue::Exact(x), SegmentValue::Exact(y)),
                (SegmentValue::Exact(x + 1), SegmentValue::Exact(y + 1)),
            ];
            let colour = shade(colorous::PURPLE_ORANGE, 0.5 - value / 2.0);
            chart
                .draw_series([Rectangle::new(corners, colour.filled())])
                .map_err(drawing)?;
            let ink = if value.abs() > 0.7 { WHITE } else { BLACK };
            let style = (FONT, 11)
                .into_text_style(area)
                .color(&ink)
                .pos(Pos::new(HPos::Center, VPos::Center));
            let centre = (SegmentValue::CenterOf(x), SegmentValue::CenterOf(y));
            chart
                .draw_series([Text::new(format!("{value:.2}"), centre, style)])
                .map_err(drawing)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_print_their_value() {
        let panel = HeatPanel {
            title: "a score".to_owned(),
            rows: vec!["0".to_owned(), "1".to_owned()],
            columns: vec!["0".to_owned(), "1".to_owned()],
            values: vec![vec![Some(0.25), None], vec![Some(-1.0), Some(f64::NAN)]],
        };
        let figure = heat_maps("Heat", "", ("layer", "head"), &[panel]).unwrap();
        assert!(figure.svg().contains("0.25") && figure.svg().contains("-1.00"));
        assert!(!figure.svg().contains("NaN"));
        assert_eq!(
            heat_maps("Heat", "", ("", ""), &[]),
            Err(PlotError::Empty("Heat".to_owned()))
        );
    }
}
