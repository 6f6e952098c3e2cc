//! At which windows and budgets everything is measured.

use obd_core::QueryWindow;

/// Query windows of the scores.
pub const WINDOWS: [QueryWindow; 3] = [QueryWindow::All, QueryWindow::Last(32), QueryWindow::Last(1)];

/// Fractions of the tokens kept at which overlap and regret are measured.
pub const BUDGETS: [f64; 4] = [0.05, 0.10, 0.20, 0.50];

/// Those of [`BUDGETS`] at which the whole field is measured.
pub const FIELD_BUDGETS: [f64; 2] = [BUDGETS[1], BUDGETS[2]];
