//! A query window by its name: `all`, `last-32`.

use obd_core::QueryWindow;

/// The window of a name; `32` is `last-32`.
///
/// # Errors
/// A sentence where there is no such window.
pub fn parse(text: &str) -> Result<QueryWindow, String> {
    if text == "all" {
        return Ok(QueryWindow::All);
    }
    match text.strip_prefix("last-").unwrap_or(text).parse() {
        Ok(count) if count > 0 => Ok(QueryWindow::Last(count)),
        _ => Err("expected all, or the last so many queries: last-32 or 32".to_owned()),
    }
}

/// The name of a window, as in every table.
pub fn name(window: QueryWindow) -> String {
    match window {
        QueryWindow::All => "all".to_owned(),
        QueryWindow::Last(count) => format!("last-{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for window in [QueryWindow::All, QueryWindow::Last(1), QueryWindow::Last(32)] {
            assert_eq!(parse(&name(window)), Ok(window));
        }
        assert_eq!(parse("32"), Ok(QueryWindow::Last(32)));
        for refused in ["", "last", "last-0", "0", "-1", "first-3", "last-last-3"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
