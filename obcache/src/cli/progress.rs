//! How far a long command is.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with the work `done`, in `indicatif`'s template, and the time left, on stderr; hidden where that is no terminal.
pub(super) fn bar(done: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {done}, {{eta}} left"));
    ProgressBar::new(0).with_style(style.expect("the templates of this program are well formed"))
}
