//! What all figures share: the page, its grid of panels, fonts, colours and ranges.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use crate::{Figure, PlotError};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Family name in the SVG; browsers without it fall back to their sans-serif.
pub(crate) const FONT: &str = "DejaVu Sans, sans-serif";

/// Colours of Okabe and Ito, told apart by all kinds of colour vision.
const CATEGORIES: [(u8, u8, u8); 8] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (0, 0, 0),
    (150, 150, 150),
];

/// The colour of the n-th series.
pub(crate) fn category(place: usize) -> RGBColor {
    let (red, green, blue) = CATEGORIES[place % CATEGORIES.len()];
    RGBColor(red, green, blue)
}

/// A colour of one of the maps of `colorous`, `share` in [0, 1].
pub(crate) fn shade(gradient: colorous::Gradient, share: f64) -> RGBColor {
    let colour = gradient.eval_continuous(share.clamp(0.0, 1.0));
    RGBColor(colour.r, colour.g, colour.b)
}

/// Draws `panels` panels of `size` in rows of `columns` under the title.
pub(crate) fn figure(
    title: &str,
    caption: &str,
    grid: (usize, usize),
    size: (u32, u32),
    draw: impl Fn(usize, &Area) -> Result<(), PlotError>,
) -> Result<Figure, PlotError> {
    figure_with_legend(title, caption, &[], grid, size, draw)
}

/// Height of the title, width of its widest letters, height of a row of the legend, and width of one of its entries.
const TITLE: u32 = 36;
const LETTER: u32 = 11;
const LEGEND_ROW: u32 = 24;
const LEGEND_ENTRY: u32 = 131;

/// The same with one legend for all panels between title and panels, its entries in the colours of [`category`].
pub(crate) fn figure_with_legend(
    title: &str,
    caption: &str,
    legend: &[&str],
    (columns, panels): (usize, usize),
    size: (u32, u32),
    draw: impl Fn(usize, &Area) -> Result<(), PlotError>,
) -> Result<Figure, PlotError> {
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| PlotError::Drawing("the bundled font does not load".to_owned()))?;
    let columns = columns.min(panels).max(1);
    let rows = panels.div_ceil(columns);
    let width = (size.0 * columns as u32).max(LETTER * title.chars().count() as u32);
    let per_row = ((width - 20) / LEGEND_ENTRY).max(1);
    let legend_height = LEGEND_ROW * (legend.len() as u32).div_ceil(per_row);
    let page = (width, size.1 * rows as u32 + TITLE + legend_height);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, page).into_drawing_area();
        root.fill(&WHITE).map_err(drawing)?;
        let body = root.titled(title, (FONT, 18)).map_err(drawing)?;
        let (strip, body) = body.split_vertically(legend_height);
        draw_legend(&strip, legend, per_row)?;
        for (place, area) in body.split_evenly((rows, columns)).iter().enumerate().take(panels) {
            draw(place, area)?;
        }
        root.present().map_err(drawing)?;
    }
    let described = format!("<title>{}</title>\n<desc>{}</desc>\n", escape(title), escape(caption));
    let start = svg.find('>').expect("an SVG begins with a tag") + 1;
    svg.insert_str(start, &described);
    Ok(Figure {
        title: title.to_owned(),
        caption: caption.to_owned(),
        svg,
    })
}

fn draw_legend(strip: &Area, legend: &[&str], per_row: u32) -> Result<(), PlotError> {
    for (place, name) in legend.iter().enumerate() {
        let (row, column) = (place as u32 / per_row, place as u32 % per_row);
        let (x, y) = (
            (20 + column * LEGEND_ENTRY) as i32,
            (row * LEGEND_ROW + LEGEND_ROW / 2) as i32,
        );
        let line = PathElement::new([(x, y), (x + 20, y)], category(place).stroke_width(3));
        strip.draw(&line).map_err(drawing)?;
        let style = (FONT, 14)
            .into_text_style(strip)
            .pos(Pos::new(HPos::Left, VPos::Center));
        let text = Text::new((*name).to_owned(), (x + 26, y), style);
        strip.draw(&text).map_err(drawing)?;
    }
    Ok(())
}

pub(crate) fn drawing(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Least and greatest finite number, `None` where there is none; a range without width is widened.
pub(crate) fn range(numbers: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for number in numbers.filter(|number| number.is_finite()) {
        low = low.min(number);
        high = high.max(number);
    }
    if low > high {
        return None;
    }
    let margin = if low == high { low.abs().max(1.0) * 0.5 } else { 0.0 };
    Some(low - margin..high + margin)
}

/// The decades that hold all numbers above 0, at most `decades` below the greatest.
pub(crate) fn decades(numbers: impl Iterator<Item = f64>, decades: i32) -> Option<Range<i32>> {
    let logs = range(numbers.filter(|number| *number > 0.0).map(f64::log10))?;
    let high = logs.end.ceil() as i32;
    Some((logs.start.floor() as i32).max(high - decades)..high)
}

/// A power of ten as an axis label.
pub(crate) fn power(value: f64) -> String {
    format!("1e{}", value.log10().round() as i32)
}

/// The name of a row, left of the axis' start.
pub(crate) fn row_name(area: &Area, text: &str, (x, y): (i32, i32)) -> Result<(), PlotError> {
    let (left, top) = area.get_base_pixel();
    let style = (FONT, 13)
        .into_text_style(area)
        .pos(Pos::new(HPos::Right, VPos::Center));
    area.draw_text(text, &style, (x - left - 8, y - top)).map_err(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_wide_as_its_title() {
        let of = |title: &str| figure(title, "", (1, 1), (100, 100), |_, _| Ok(())).unwrap();
        assert!(of("x").svg().contains("width=\"100\"") && of(&"x".repeat(20)).svg().contains("width=\"220\""));
    }

    #[test]
    fn ranges_cover_what_is_finite() {
        assert_eq!(range([3.0, f64::NAN, 1.0].into_iter()), Some(1.0..3.0));
        assert_eq!(range([2.0].into_iter()), Some(1.0..3.0));
        assert_eq!(range([f64::INFINITY].into_iter()), None);
        assert_eq!(decades([0.0, 0.02, 30.0].into_iter(), 9), Some(-2..2));
        assert_eq!([power(1.0), power(1e-3)], ["1e0", "1e-3"]);
        assert_eq!(decades([1e-30, 30.0].into_iter(), 9), Some(-7..2));
    }
}
