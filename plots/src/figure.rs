//! A finished figure.

use std::sync::Arc;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::PlotError;

/// Pixels of the PNG per unit of the SVG.
const RESOLUTION: f32 = 2.0;

/// A figure with its title and caption; both also stand in the SVG, for readers that do not see.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) caption: String,
    pub(crate) svg: String,
}

impl Figure {
    /// What the figure shows.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How to read it.
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// The figure as SVG.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The same SVG as PNG, two pixels per unit, on white.
    ///
    /// # Errors
    /// [`PlotError::Raster`] where the SVG cannot be rasterised.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        let options = Options {
            fontdb: Arc::new(fonts),
            font_family: "DejaVu Sans".to_owned(),
            ..Options::default()
        };
        let tree = Tree::from_str(&self.svg, &options).map_err(|error| PlotError::Raster(error.to_string()))?;
        let size = tree.size().to_int_size();
        let scale = |length: u32| (length as f32 * RESOLUTION) as u32;
        let mut pixels = Pixmap::new(scale(size.width()), scale(size.height()))
            .ok_or_else(|| PlotError::Raster("a figure without area".to_owned()))?;
        pixels.fill(Color::WHITE);
        resvg::render(
            &tree,
            Transform::from_scale(RESOLUTION, RESOLUTION),
            &mut pixels.as_mut(),
        );
        pixels
            .encode_png()
            .map_err(|error| PlotError::Raster(error.to_string()))
    }
}
