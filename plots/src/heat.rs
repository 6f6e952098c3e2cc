//! Heat maps whose cells also print their value.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
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
    // No panel has no cell.
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
        .build_cartesian_2d(Cells(columns), Cells(rows))
        .map_err(drawing)?;
    // The axis asks for places beyond its ends as well, which have no label.
    let label = |labels: &[String], centre: &f64| labels.get(*centre as usize).cloned().unwrap_or_default();
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
        let y = (rows - 1 - row) as f64;
        for (column, value) in values.iter().enumerate().take(columns) {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                continue;
            };
            let x = column as f64;
            let corners = [(x, y), (x + 1.0, y + 1.0)];
            let colour = shade(colorous::PURPLE_ORANGE, 0.5 - value / 2.0);
            chart
                .draw_series([Rectangle::new(corners, colour.filled())])
                .map_err(drawing)?;
            let ink = if value.abs() > 0.5 { WHITE } else { BLACK };
            let style = (FONT, 11)
                .into_text_style(area)
                .color(&ink)
                .pos(Pos::new(HPos::Center, VPos::Center));
            let centre = (x + 0.5, y + 0.5);
            chart
                .draw_series([Text::new(format!("{value:.2}"), centre, style)])
                .map_err(drawing)?;
        }
    }
    Ok(())
}

/// An axis of so many cells of width 1, labelled at their centres; plotters' own axis of segments misplaces a single one.
struct Cells(usize);

impl Ranged for Cells {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        (0..self.0).map(|cell| cell as f64 + 0.5).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.0 as f64
    }
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
    #[test]
    fn a_single_column_stands_above_its_label() {
        let panel = HeatPanel {
            title: "a score".to_owned(),
            rows: vec!["a".to_owned(), "b".to_owned()],
            columns: vec!["only".to_owned()],
            values: vec![vec![Some(0.25)], vec![Some(0.5)]],
        };
        let figure = heat_maps("Heat", "", ("layer", "head"), &[panel.clone(), panel]).unwrap();
        let places = |text: &str| -> Vec<f64> {
            let before = figure.svg().split(text).collect::<Vec<_>>();
            let tags = before[..before.len() - 1]
                .iter()
                .map(|part| part.rsplit("<text").next().unwrap());
            tags.map(|tag| {
                tag.split("x=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect()
        };
        let (labels, cells) = (places("only"), places("0.25"));
        assert_eq!((labels.len(), cells.len()), (2, 2));
        for (label, cell) in labels.iter().zip(cells) {
            assert!((label - cell).abs() <= 1.0, "{label} {cell}");
        }
    }
}
