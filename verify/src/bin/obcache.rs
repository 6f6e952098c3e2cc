//! The command `obcache`.

use std::process::ExitCode;

fn main() -> ExitCode {
    verify::cli::run()
}
