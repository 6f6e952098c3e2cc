//! A field over a plane, with points on it.

use plotters::prelude::*;

use crate::canvas::{FONT, drawing, figure, power, shade};
use crate::{Figure, PlotError};

/// Cells along each axis.
const CELLS: usize = 90;

/// A field over a logarithmic x axis and a linear y axis.
pub struct Map<'a, F: Fn(f64, f64) -> f64> {
    /// Ends of the x axis, both above 0.
    pub x: (f64, f64),
    /// Ends of the y axis.
    pub y: (f64, f64),
    /// The field, above 0; its logarithm is coloured, 1 in the middle, over a factor of `reach` either way.
    pub field: F,
    /// Factor at which the colours end.
    pub reach: f64,
    /// Points drawn over the field; those outside the axes are left out.
    pub points: &'a [(f64, f64)],
}

/// Draws the field in colours with the points as dots.
///
/// # Errors
/// [`PlotError::Drawing`] where the drawing library refuses.
pub fn map_with_points<F: Fn(f64, f64) -> f64>(
    title: &str,
    caption: &str,
    (x_label, y_label): (&str, &str),
    map: &Map<F>,
) -> Result<Figure, PlotError> {
    let ((left, right), (bottom, top)) = (map.x, map.y);
    figure(title, caption, (1, 1), (760, 480), |_, area| {
        let (body, key) = area.split_horizontally(670);
        let mut chart = ChartBuilder::on(&body)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d((left..right).log_scale(), bottom..top)
            .map_err(drawing)?;
        let x = |cell: usize| left * (right / left).powf(cell as f64 / CELLS as f64);
        let y = |cell: usize| bottom + (top - bottom) * cell as f64 / CELLS as f64;
        for i in 0..CELLS {
            for j in 0..CELLS {
                let value = (map.field)((x(i) * x(i + 1)).sqrt(), (y(j) + y(j + 1)) / 2.0);
                let corners = [(x(i), y(j)), (x(i + 1), y(j + 1))];
                let cell = Rectangle::new(corners, colour(value, map.reach).filled());
                chart.draw_series([cell]).map_err(drawing)?;
            }
        }
        let inside = |point: &&(f64, f64)| (left..=right).contains(&point.0) && (bottom..=top).contains(&point.1);
        let dots = map
            .points
            .iter()
            .filter(inside)
            .map(|&point| Circle::new(point, 1, BLACK.mix(0.45).filled()));
        chart.draw_series(dots).map_err(drawing)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .label_style((FONT, 12))
            .x_label_formatter(&|value| power(*value))
            .x_desc(x_label)
            .y_desc(y_label)
            .draw()
            .map_err(drawing)?;
        let logs = -map.reach.log10()..map.reach.log10();
        let mut bar = ChartBuilder::on(&key)
            .margin_top(30)
            .margin_bottom(60)
            .margin_left(10)
            .right_y_label_area_size(46)
            .build_cartesian_2d(0.0..1.0, logs.clone())
            .map_err(drawing)?;
        let step = (logs.end - logs.start) / CELLS as f64;
        let cells = (0..CELLS).map(|cell| {
            let low = logs.start + step * cell as f64;
            Rectangle::new(
                [(0.0, low), (1.0, low + step)],
                colour(10f64.powf(low + step / 2.0), map.reach).filled(),
            )
        });
        bar.draw_series(cells).map_err(drawing)?;
        bar.configure_mesh()
            .disable_mesh()
            .disable_x_axis()
            .y_labels(5)
            .label_style((FONT, 12))
            .y_label_formatter(&|log| format!("{:.2}", 10f64.powf(*log)))
            .draw()
            .map_err(drawing)
    })
}

fn colour(value: f64, reach: f64) -> RGBColor {
    shade(colorous::PURPLE_ORANGE, 0.5 - value.ln() / reach.ln() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_outside_are_left_out() {
        let points = [(0.5, 0.0), (5.0, 0.0)];
        let map = Map {
            x: (0.1, 1.0),
            y: (-1.0, 1.0),
            field: |x, _| x,
            reach: 10.0,
            points: &points,
        };
        let figure = map_with_points("Map", "", ("weight", "logit"), &map).unwrap();
        assert_eq!(figure.svg().matches("<circle").count(), 1);
    }
}
