//! How fast the strip engine is, against what the same machine does in the same process.
//!
//! `cargo bench -p verify --bench performance -- [--long] [--write]`: prints every ratio with what is asked of it and
//! writes them to `target/performance.json`. `--long` adds the lengths of 65,536 and 131,072 tokens and the trace-based
//! path at 4,096; `--write` also regenerates `docs/performance.md` and its figure.

mod data;
mod measure;
mod page;
mod products;

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use faer::traits::ComplexField;
use measure::Run;
use page::{Asked, Results};
use statrs::statistics::{Data, Median};

use crate::data::Number;

/// Times that every length of the growth is measured.
const ROUNDS: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let (long, write) = (flag(&arguments, "--long"), flag(&arguments, "--write"));
    if let Some(unknown) = arguments
        .iter()
        .find(|argument| !["--long", "--write"].contains(&argument.as_str()))
    {
        eprintln!("performance: there is no option {unknown:?}; expected --long or --write");
        return ExitCode::from(2);
    }
    let results = measured(long);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match page::write(&results, &root, write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("performance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn flag(arguments: &[String], name: &str) -> bool {
    arguments.iter().any(|argument| argument == name)
}

fn measured(long: bool) -> Results {
    let threads = available_parallelism().map_or(1, NonZero::get);
    let mut results = Results::new(threads, long);
    // First, while the process holds no memory of other runs.
    longest(&mut results);
    // Between the other parts, so that no one mood of the memory decides.
    let mut decoding = Vec::new();
    for part in [shares, threads_and_growth, rivals] {
        decoding.extend(measure::decode_shares(128, 131_072, threads));
        part(&mut results);
    }
    decoding.extend(measure::decode_shares(128, 131_072, threads));
    results.ratio(
        "decode step over 131,072 tokens, share of a plain read of keys and values",
        Data::new(decoding).median(),
        Asked::AtLeast(0.60),
    );
    results
}

/// The engine against the products alone.
fn shares(results: &mut Results) {
    share::<f32>(results, (128, 4096, 100), 0.70);
    share::<f32>(results, (128, 16_384, 10), 0.70);
    share::<f64>(results, (128, 4096, 75), 0.70);
    share::<f64>(results, (128, 16_384, 8), 0.70);
    share::<f32>(results, (64, 4096, 100), 0.55);
    share::<f32>(results, (64, 16_384, 10), 0.55);
    share::<f64>(results, (64, 4096, 75), 0.55);
}

fn share<T: Number + ComplexField>(results: &mut Results, (dim, tokens, repeats): (usize, usize, usize), asked: f64) {
    let run = measure::run::<T>(dim, tokens, results.threads, repeats);
    let name = format!("{}, head_dim {dim}, {tokens} tokens", T::NAME);
    results.ratio(
        &format!("{name}, share of the product rate"),
        run.share(),
        Asked::AtLeast(asked),
    );
    let offsets = run.profile.packing + run.profile.recomputing;
    results.ratio(
        &format!("{name}, share of the time for centring (all packing counted) and recomputing"),
        offsets.as_secs_f64() / run.profile.total().as_secs_f64(),
        Asked::AtMost(0.05),
    );
    results.run(run);
}

/// Two threads against one, and the growth with the length.
fn threads_and_growth(results: &mut Results) {
    let one = measure::run::<f32>(128, 16_384, 1, 3).seconds;
    let two = measure::run::<f32>(128, 16_384, 2, 4).seconds;
    results.ratio(
        "two threads over one, f32, head_dim 128, 16384 tokens",
        one / two,
        Asked::AtLeast(1.85),
    );
    let lengths: &[usize] = if results.long {
        &[8192, 16_384, 32_768, 65_536]
    } else {
        &[8192, 16_384, 32_768]
    };
    let round = || {
        lengths
            .iter()
            .map(|&tokens| measure::run::<f32>(128, tokens, results.threads, 1))
    };
    let mut runs: Vec<Run> = round().collect();
    // In rounds, so that a slow minute of the machine meets every length alike.
    for _ in 1..ROUNDS {
        runs = runs
            .into_iter()
            .zip(round())
            .map(|(before, run)| before.or_faster(run))
            .collect();
    }
    let points: Vec<_> = runs.iter().map(|run| (run.tokens as f64, run.seconds)).collect();
    results.exponent(measure::exponent(&points));
    runs.into_iter()
        .filter(|run| run.tokens > 16_384)
        .for_each(|run| results.run(run));
}

/// The longest run, with its memory.
fn longest(results: &mut Results) {
    if results.long {
        let (seconds, memory) = measure::longest(131_072, results.threads);
        results.longest(seconds, memory);
    }
}

/// The trace-based path and eager PyTorch.
fn rivals(results: &mut Results) {
    let tokens = if results.long { 4096 } else { 1024 };
    let trace = measure::trace_path(128, tokens);
    let engine = measure::run::<f64>(128, tokens, results.threads, 5).seconds;
    results.ratio(
        &format!("trace-based path over the engine, f64, {tokens} tokens"),
        trace / engine,
        Asked::AtLeast(15.0),
    );
    match measure::peer(128, 4096, results.threads) {
        Ok(seconds) => {
            let engine = measure::run::<f32>(128, 4096, results.threads, 10).seconds;
            results.ratio(
                "eager PyTorch over the engine, f32, 4096 tokens",
                seconds / engine,
                Asked::AtLeast(10.0),
            );
        }
        Err(reason) => {
            eprintln!("eager PyTorch is skipped: {reason}");
            results.skipped = Some(reason);
        }
    }
}
