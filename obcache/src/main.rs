//! The command `obcache`.

use std::process::ExitCode;

/// OpenBLAS shares a sum among as many threads as there are cores, so its last bits would depend on their number: it gets
/// one, and the heads are spread over the cores instead. It reads this variable before `main`, hence the second start.
const BLAS_THREADS: &str = "OPENBLAS_NUM_THREADS";

fn main() -> ExitCode {
    if std::env::var(BLAS_THREADS).as_deref() != Ok("1") {
        restart_with_one_blas_thread();
    }
    obcache::cli::run()
}

/// Returns only where the program cannot be started anew; it then goes on as it is.
fn restart_with_one_blas_thread() {
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt;
        let _ = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(BLAS_THREADS, "1")
            .exec();
    }
}
