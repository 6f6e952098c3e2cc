//! Why a command fails, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use capture::CaptureError;
use reference_model::ModelError;

use crate::scoring::ScoringError;
use study::measure::MeasureError;
use study::report::ReportError;

/// Why a command fails; the text names the file, and the tensor where there is one.
pub(super) enum Failure {
    /// What was given cannot be used: exit code 2, as for a command line that cannot be parsed.
    Input(String),
    /// What was given is fine and the command still fails: exit code 1.
    Ours(String),
    /// The command did its work and the answer is no: the text goes to stdout.
    Verdict {
        /// What was found.
        text: String,
        /// 1 where a kernel does not conform, 2 where a part of its results could not be judged.
        code: u8,
    },
    /// The user pressed Ctrl-C, or the system asked the command to end: exit code 130, as a shell has it.
    Interrupted(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_) => 2,
            Self::Ours(_) => 1,
            Self::Verdict { code, .. } => *code,
            Self::Interrupted(_) => 130,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(reason)
            | Self::Ours(reason)
            | Self::Verdict { text: reason, .. }
            | Self::Interrupted(reason) => f.write_str(reason),
        }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::Input(error.to_string())
    }
}

/// A measurement fails on numbers so large that their squares overflow: the capture's doing.
impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<ScoringError> for Failure {
    fn from(error: ScoringError) -> Self {
        let reason = error.to_string();
        match error {
            ScoringError::File { .. } => Self::Ours(reason),
            ScoringError::Interrupted | ScoringError::Unfinished { .. } => Self::Interrupted(reason),
            _ => Self::Input(reason),
        }
    }
}
