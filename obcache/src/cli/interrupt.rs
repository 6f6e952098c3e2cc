//! Ctrl-C asks a command to end in order; a second one ends it at once.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

/// Whether the command was asked to end, by Ctrl-C or by the signal with which the system ends a process.
pub(super) fn watch() -> Result<impl Fn() -> bool, Failure> {
    let asked = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&asked);
    let installed = ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            exit(130);
        }
    });
    installed.map_err(|error| Failure::Ours(format!("signals cannot be handled: {error}")))?;
    Ok(move || asked.load(Ordering::Relaxed))
}
