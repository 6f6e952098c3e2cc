//! A table of words, for a page and for the screen.

use comfy_table::presets;
use serde::Serialize;

/// Headings and rows; each row has a cell a column.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Table {
    /// Headings.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of rows under headings.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>, rows: Vec<Vec<String>>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows,
        }
    }
}

/// The table on the screen, without lines.
pub(crate) fn screen(table: &Table) -> comfy_table::Table {
    let mut screen = comfy_table::Table::new();
    screen.load_style(presets::NOTHING);
    screen.set_header(&table.columns);
    screen.add_rows(&table.rows);
    screen
}
