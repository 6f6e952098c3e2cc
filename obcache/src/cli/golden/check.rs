//! `obcache golden check`: results of a kernel against the suite.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use golden::{Arithmetic, DecodeTrace, OutputKind, Precision, Suite};

use super::super::failure::Failure;
use crate::conformance::judge::{Selection, Verdict, judge};
use crate::conformance::results::Results;
use crate::conformance::{json, junit};
use study::output::write_atomically;

/// Judges the results of a kernel: prints one line a family, then each failure with its worst number, and the bug's name.
///
/// Every number is compared with the certified truth, within a tolerance derived from the problem and the arithmetic
/// (docs/derivations/error-bound.md). Decode traces form the family `decode`: saliencies are judged in the same way, kept positions
/// exactly, except where the bound cannot tell two tokens apart. Exit codes: 0 if every number is right, 1 if some are not, 2 if all judged numbers are
/// right but tensors are missing or cannot be used.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The results, safetensors: one tensor per output, named as in `cases.json` of `obcache golden inputs`.
    results: PathBuf,

    /// Folder of the suite.
    #[arg(long, default_value = "vectors")]
    suite: PathBuf,

    /// The format in which the kernel accumulates.
    #[arg(long, default_value = "f32")]
    accumulate: Accumulate,

    /// Largest error of the kernel's exp, log and tanh, in units in the last place: 2 for ex2.approx of CUDA, more for the
    /// built-in functions of a shading language.
    #[arg(long, value_name = "ULPS", default_value_t = 1.0, value_parser = ulps)]
    exp_ulps: f64,

    /// Judge only this family; may be repeated.
    #[arg(long)]
    family: Vec<String>,

    /// Leave this family out; may be repeated.
    #[arg(long, value_name = "FAMILY")]
    skip: Vec<String>,

    /// Judge only cases with this flag; may be repeated.
    #[arg(long)]
    flag: Vec<String>,

    /// Judge only outputs of this kind, such as joint, and no decode traces; may be repeated.
    #[arg(long, value_parser = kind)]
    output: Vec<OutputKind>,

    /// Write the verdict as JUnit XML here.
    #[arg(long)]
    junit: Option<PathBuf>,

    /// Write the verdict as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  obcache golden check results.safetensors
      judge every output of the suite
  obcache golden check results.safetensors --output joint --family plain --junit junit.xml
      judge one output on one family, for CI
  obcache golden check results.safetensors --skip decode
      judge a kernel without a decode loop; --family decode judges the loop alone";

/// Formats that a kernel may accumulate in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Accumulate {
    F32,
    F64,
    F16,
    Bf16,
}

impl From<Accumulate> for Precision {
    fn from(accumulate: Accumulate) -> Self {
        match accumulate {
            Accumulate::F32 => Self::F32,
            Accumulate::F64 => Self::F64,
            Accumulate::F16 => Self::F16,
            Accumulate::Bf16 => Self::Bf16,
        }
    }
}

fn ulps(text: &str) -> Result<f64, String> {
    let ulps: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let sensible = (0.5..=65536.0).contains(&ulps);
    sensible
        .then_some(ulps)
        .ok_or_else(|| "expected 0.5 to 65536".to_owned())
}

fn kind(name: &str) -> Result<OutputKind, String> {
    let known = OutputKind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| {
        let names = OutputKind::ALL.map(OutputKind::name).join(", ");
        format!("there is no output named {name:?}; there are {names}")
    })
}

impl Arguments {
    /// Judges; the text goes to stdout whatever the verdict.
    pub fn run(&self) -> Result<String, Failure> {
        let suite = Suite::read(&self.suite).map_err(|error| Failure::Input(error.to_string()))?;
        let selection = Selection {
            families: self.family.clone(),
            skipped: self.skip.clone(),
            flags: self.flag.clone(),
            outputs: self.output.clone(),
        };
        let left = selection.of(&suite);
        if let Some(unknown) = self.unknown_family(&suite) {
            return Err(Failure::Input(format!(
                "there is no family {unknown}: {}",
                known(&suite)
            )));
        }
        if left.cases.is_empty() && left.decode_traces.is_empty() {
            return Err(Failure::Input(format!("no case is left: {}", known(&suite))));
        }
        let results = Results::read(&self.results).map_err(|error| Failure::Input(error.to_string()))?;
        let arithmetic = Arithmetic::uniform(self.accumulate.into()).with_exp_ulps(self.exp_ulps);
        let verdict =
            judge(&suite, &selection, &results, arithmetic).map_err(|error| Failure::Input(error.to_string()))?;
        self.write(&verdict)?;
        let text = text(&self.results, &results, &verdict);
        if !verdict.report.passed() {
            return Err(Failure::Verdict { text, code: 1 });
        }
        if !verdict.report.complete() || !verdict.faults.is_empty() {
            return Err(Failure::Verdict { text, code: 2 });
        }
        Ok(text)
    }

    fn unknown_family(&self, suite: &Suite) -> Option<&String> {
        let known = families(suite);
        let mut asked = self.family.iter().chain(&self.skip);
        asked.find(|family| !known.contains(&family.as_str()))
    }

    fn write(&self, verdict: &Verdict) -> Result<(), Failure> {
        let failure = |path: &Path, error: String| Failure::Ours(format!("{}: {error}", path.display()));
        if let Some(path) = &self.json {
            let text = format!("{:#}\n", json::verdict(verdict));
            write_atomically(path, text.as_bytes()).map_err(|error| failure(path, error.to_string()))?;
        }
        if let Some(path) = &self.junit {
            let xml = junit::xml(verdict).map_err(|error| failure(path, error.to_string()))?;
            write_atomically(path, xml.as_bytes()).map_err(|error| failure(path, error.to_string()))?;
        }
        Ok(())
    }
}

fn families(suite: &Suite) -> Vec<&str> {
    let mut families: Vec<&str> = suite.cases.iter().map(|case| case.family.as_str()).collect();
    families.dedup();
    families.extend((!suite.decode_traces.is_empty()).then_some(DecodeTrace::FAMILY));
    families
}

fn known(suite: &Suite) -> String {
    let flags: Vec<&str> = suite.flags.keys().map(String::as_str).collect();
    format!(
        "families are {}; flags are {}",
        families(suite).join(", "),
        flags.join(", ")
    )
}

fn text(file: &Path, results: &Results, verdict: &Verdict) -> String {
    let mut text = format!("{}\n{}", file.display(), verdict.report);
    if !verdict.faults.is_empty() {
        text.push('\n');
    }
    for fault in &verdict.faults {
        text.push_str(&format!("{fault}\n"));
    }
    if results.version.is_none() {
        text.push_str("\nnote: the metadata lack golden_suite, so the version of the suite could not be compared\n");
    }
    let outputs: usize = verdict.report.cases.iter().map(|case| case.judgements.len()).sum();
    let refused: usize = verdict.report.cases.iter().map(|case| case.refused.len()).sum();
    let verdict = match (verdict.report.passed(), refused + verdict.faults.len()) {
        (true, 0) => "conforms".to_owned(),
        (true, wrong) => format!("every judged output conforms; {wrong} tensors or metadata are wrong"),
        (false, _) => "does not conform".to_owned(),
    };
    text + &format!("\n{outputs} outputs judged, {refused} not: {verdict}\n")
}
