//! Scatter plots of many points: the colour of a cell tells how many points fall into it.

use plotters::prelude::*;

use crate::canvas::{Area, FONT, decades, drawing, figure, power, shade};
use crate::{Figure, PlotError};

/// Cells along each axis of a panel.
const CELLS: usize = 64;

/// Decades shown at most on a logarithmic axis.
const DECADES: i32 = 14;

/// One panel of points.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterPanel {
    /// Title of the panel.
    pub title: String,
    /// Points (x, y).
    pub points: Vec<(f64, f64)>,
    /// Factors of the diagonal between which a band is drawn.
    pub band: Option<(f64, f64)>,
}

/// Points on two logarithmic axes, shared by all panels, with the diagonal; points not above 0 are left out, and their
/// number stands in the panel's title.
///
/// # Errors
/// [`PlotError::Empty`] where no panel has a point above 0.
pub fn scatter_panels(
    title: &str,
    caption: &str,
    (x_label, y_label): (&str, &str),
    panels: &[ScatterPanel],
) -> Result<Figure, PlotError> {
    let all = || panels.iter().flat_map(|panel| &panel.points);
    let above_zero = |&&(x, y): &&(f64, f64)| x > 0.0 && y > 0.0;
    let numbers = all().filter(above_zero).flat_map(|&(x, y)| [x, y]);
    let span = decades(numbers, DECADES).ok_or_else(|| PlotError::Empty(title.to_owned()))?;
    let ends = (10f64.powi(span.start), 10f64.powi(span.end));
    figure(title, caption, (3, panels.len()), (340, 320), |place, area| {
        draw(area, &panels[place], ends, (x_label, y_label))
    })
}

fn draw(area: &Area, panel: &ScatterPanel, (low, high): (f64, f64), labels: (&str, &str)) -> Result<(), PlotError> {
    let shown = |&&(x, y): &&(f64, f64)| x >= low && y >= low && x <= high && y <= high;
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
        .build_cartesian_2d((low..high).log_scale(), (low..high).log_scale())
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
        .x_desc(labels.0)
        .y_desc(labels.1)
        .draw()
        .map_err(drawing)?;
    let cell = |value: f64| ((value / low).ln() / (high / low).ln() * CELLS as f64).min(CELLS as f64 - 1.0) as usize;
    let edge = |cell: usize| low * (high / low).powf(cell as f64 / CELLS as f64);
    let mut counts = vec![[0u32; CELLS]; CELLS];
    for (x, y) in panel.points.iter().filter(shown) {
        counts[cell(*x)][cell(*y)] += 1;
    }
    let most = counts.iter().flatten().max().copied().unwrap_or(0).max(2);
    for (i, column) in counts.iter().enumerate() {
        for (j, &count) in column.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = f64::from(count).ln() / f64::from(most).ln();
            let colour = shade(colorous::VIRIDIS, 0.92 * (1.0 - share));
            let corners = [(edge(i), edge(j)), (edge(i + 1), edge(j + 1))];
            chart
                .draw_series([Rectangle::new(corners, colour.filled())])
                .map_err(drawing)?;
        }
    }
    let ray = |factor: f64| {
        let (start, end) = (low.max(low / factor), high.min(high / factor));
        [(start, start * factor), (end, end * factor)]
    };
    chart
        .draw_series(LineSeries::new(ray(1.0), BLACK.stroke_width(1)))
        .map_err(drawing)?;
    if let Some((below, above)) = panel.band {
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

    #[test]
    fn what_is_not_shown_is_counted() {
        let panels = [panel(vec![(1e-3, 1e-2), (0.0, 1.0), (1.0, 1.0)])];
        let figure = scatter_panels("Points", "how", ("x", "y"), &panels).unwrap();
        assert!(figure.svg().contains("a panel (1 not shown)"));
        assert!(figure.svg().contains("<title>Points</title>"));
        assert_eq!(scatter_panels("Points", "how", ("x", "y"), &panels).unwrap(), figure);
        assert!(figure.png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn nothing_above_zero_is_an_error() {
        let nothing = scatter_panels("Points", "", ("x", "y"), &[panel(vec![(0.0, 0.0), (f64::NAN, 1.0)])]);
        assert_eq!(nothing, Err(PlotError::Empty("Points".to_owned())));
    }
}
