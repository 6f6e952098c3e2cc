//! Bars that are divided into shares.

use plotters::prelude::*;

use crate::canvas::{Area, FONT, category, drawing, figure_with_legend, row_name};
use crate::{Figure, PlotError};

/// One bar: a name and the sizes of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What stands before it.
    pub name: String,
    /// Sizes of its parts, in the order of the legend.
    pub parts: Vec<f64>,
}

/// Bars from above down, their parts side by side from 0, with a legend of the parts' names.
///
/// # Errors
/// [`PlotError::Empty`] where no bar has a part above 0.
pub fn stacked_bars(
    title: &str,
    caption: &str,
    x_label: &str,
    parts: &[&str],
    bars: &[Bar],
) -> Result<Figure, PlotError> {
    let lengths = bars.iter().map(|bar| bar.parts.iter().sum::<f64>());
    let longest = lengths.fold(0.0, f64::max);
    if longest <= 0.0 {
        return Err(PlotError::Empty(title.to_owned()));
    }
    let height = 84 + 38 * bars.len() as u32;
    figure_with_legend(title, caption, parts, (1, 1), (820, height), |_, area| {
        draw(area, longest, x_label, bars)
    })
}

fn draw(area: &Area, longest: f64, x_label: &str, bars: &[Bar]) -> Result<(), PlotError> {
    let rows = bars.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(42)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..longest * 1.02, -rows..0.0)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style((FONT, 12))
        .x_desc(x_label)
        .draw()
        .map_err(drawing)?;
    for (row, bar) in bars.iter().enumerate() {
        let (mut start, top) = (0.0, -(row as f64) - 0.15);
        for (place, part) in bar.parts.iter().enumerate() {
            let corners = [(start, top), (start + part, top - 0.7)];
            chart
                .draw_series([Rectangle::new(corners, category(place).filled())])
                .map_err(drawing)?;
            start += part;
        }
    }
    for (row, bar) in bars.iter().enumerate() {
        row_name(area, &bar.name, chart.backend_coord(&(0.0, -(row as f64) - 0.5)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_parts_are_named() {
        let bar = |parts: [f64; 2]| Bar {
            name: "a run".to_owned(),
            parts: parts.to_vec(),
        };
        let figure = stacked_bars("Bars", "", "share", &["products", "sweep"], &[bar([0.7, 0.2])]).unwrap();
        for text in ["a run", "products", "sweep", "share"] {
            assert!(figure.svg().contains(text), "{text}");
        }
        let empty = stacked_bars("Bars", "", "", &["a", "b"], &[bar([0.0, 0.0])]);
        assert_eq!(empty, Err(PlotError::Empty("Bars".to_owned())));
    }
}
