//! What was measured, as JSON, as a page of the book, and as a figure.

use std::fmt::{Display, Formatter, Write};
use std::io;
use std::path::Path;

use plots::{Bar, stacked_bars};
use serde_json::{Value, json};
use study::output::write_atomically;

use crate::measure::{Run, milliseconds};

/// A number with what is asked of it.
pub struct Ratio {
    pub name: String,
    pub value: f64,
    pub asked: Asked,
}

/// What is asked of a number.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

impl Asked {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Display for Asked {
    fn fmt(&self, formatter: &mut Formatter) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(formatter, "≥ {least}"),
            Self::AtMost(most) => write!(formatter, "≤ {most}"),
        }
    }
}

/// Everything measured.
pub struct Results {
    pub threads: usize,
    pub long: bool,
    ratios: Vec<Ratio>,
    runs: Vec<Run>,
    exponent: f64,
    /// Seconds, and bytes beyond the inputs.
    longest: Option<(f64, Option<usize>)>,
    /// Why the peer was not measured.
    pub skipped: Option<String>,
}

impl Results {
    pub fn new(threads: usize, long: bool) -> Self {
        Self {
            threads,
            long,
            ratios: Vec::new(),
            runs: Vec::new(),
            exponent: f64::NAN,
            longest: None,
            skipped: None,
        }
    }

    pub fn ratio(&mut self, name: &str, value: f64, asked: Asked) {
        println!("{name}: {value:.3} (asked: {asked})");
        let name = name.to_owned();
        self.ratios.push(Ratio { name, value, asked });
    }

    pub fn run(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub fn exponent(&mut self, exponent: f64) {
        println!("time grows as the length to the power {exponent:.3} (asked: 1.95 to 2.05)");
        self.exponent = exponent;
    }

    pub fn longest(&mut self, seconds: f64, memory: Option<usize>) {
        let megabytes = memory.map_or("unknown".to_owned(), |bytes| (bytes / 1_000_000).to_string());
        println!("131,072 tokens: {seconds:.1} s (asked: below 60), {megabytes} MB (asked: below 400)");
        self.longest = Some((seconds, memory));
    }
}

/// Writes `target/performance.json`, and with `page` also the page and its figure.
pub fn write(results: &Results, root: &Path, page: bool) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(&as_json(results))?;
    write_atomically(&root.join("target/performance.json"), &bytes)?;
    if page {
        write_atomically(&root.join("docs/performance.md"), text(results).as_bytes())?;
        let png = figure(results)
            .and_then(|figure| figure.png())
            .map_err(io::Error::other)?;
        write_atomically(&root.join("docs/figures/performance.png"), &png)?;
    }
    Ok(())
}

fn as_json(results: &Results) -> Value {
    let ratios = results.ratios.iter().map(|ratio| {
        let (asked, holds) = (ratio.asked.to_string(), ratio.asked.holds(ratio.value));
        json!({"name": ratio.name, "value": ratio.value, "asked": asked, "holds": holds})
    });
    let runs = results.runs.iter().map(|run| {
        json!({
            "storage": run.storage, "head_dim": run.dim, "tokens": run.tokens, "threads": run.threads,
            "seconds": run.seconds, "gigaflops": run.rate / 1e9, "product_gigaflops": run.products / 1e9,
            "tile_product_gigaflops": run.tile_products / 1e9,
            "milliseconds": kinds(run),
        })
    });
    json!({
        "processor": processor(),
        "threads": results.threads,
        "ratios": ratios.collect::<Vec<_>>(),
        "exponent": {"value": results.exponent, "asked": [1.95, 2.05]},
        "longest": results.longest.map(|(seconds, bytes)| json!({
            "tokens": 131_072, "seconds": seconds, "asked_seconds": 60, "bytes": bytes, "asked_bytes": 400_000_000,
        })),
        "peer_skipped": results.skipped,
        "runs": runs.collect::<Vec<_>>(),
    })
}

/// Processor time of a run by kind of work, in milliseconds.
fn kinds(run: &Run) -> Value {
    json!({
        "products": milliseconds(run.profile.products),
        "softmax": milliseconds(run.profile.softmax),
        "sweep": milliseconds(run.profile.sweep),
        "recomputing": milliseconds(run.profile.recomputing),
        "packing": milliseconds(run.profile.packing),
        "rest": milliseconds(run.profile.rest),
    })
}

fn text(results: &Results) -> String {
    let mut text = format!(
        "# Performance of the strip engine\n\n\
         How close does the strip engine come to the speed of the matrix products that it cannot avoid? `./x bench` measures it and writes this \
         page; the same numbers, machine-readable, are in `target/performance.json`. {}, {} threads.\n\n\
         - *Floor*: 3 n² d floating-point operations for a causal head, three products over half of the pairs.\n\
         - *Product rate*: the rate that `faer` reaches, with the same threads, on the products of strips alone: logits of 128 queries against \
         all n/2 tokens that they see on average, kept for the strip; outputs from the values; products of values and outputs.\n\
         - *Timing*: every ratio compares two timings of one process. The fastest of several repeats counts; they follow one another in the same \
         buffers, as the heads of a capture do. Decode steps are timed between the other parts, each against the read just before it, and their \
         median counts, because the speed of a shared memory varies.\n\n\
         | ratio | measured | asked | |\n|---|--:|--:|---|\n",
        processor(),
        results.threads
    );
    let mut row = |name: &str, value: String, asked: String, holds: bool| {
        let verdict = if holds { "holds" } else { "**missed**" };
        let _ = writeln!(text, "| {name} | {value} | {asked} | {verdict} |");
    };
    for ratio in &results.ratios {
        let (asked, holds) = (ratio.asked.to_string(), ratio.asked.holds(ratio.value));
        row(&ratio.name, format!("{:.3}", ratio.value), asked, holds);
    }
    let exponent = results.exponent;
    let name = if results.long {
        "growth with the length, 8k to 64k tokens"
    } else {
        "growth with the length, 8k to 32k tokens"
    };
    row(
        name,
        format!("n^{exponent:.3}"),
        "1.95 to 2.05".to_owned(),
        (1.95..=2.05).contains(&exponent),
    );
    if let Some((seconds, memory)) = results.longest {
        row(
            "131,072 tokens, f32, head_dim 128",
            format!("{seconds:.1} s"),
            "< 60 s".to_owned(),
            seconds < 60.0,
        );
        if let Some(bytes) = memory {
            let megabytes = bytes as f64 / 1e6;
            row(
                "its memory beyond the inputs",
                format!("{megabytes:.0} MB"),
                "< 400 MB".to_owned(),
                megabytes < 400.0,
            );
        }
    }
    if let Some(reason) = &results.skipped {
        let _ = writeln!(text, "\nEager PyTorch was not measured: {reason}.");
    }
    text.push_str(
        "\n## Where the time goes\n\n![Processor time of a run by kind of work](figures/performance.png)\n\n",
    );
    text.push_str("| run | seconds | GF/s | products of strips, GF/s | of one tile, GF/s ");
    text.push_str("| products | softmax | sweep | recomputing | packing | rest |\n");
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for run in &results.runs {
        let total = run.profile.total().as_secs_f64();
        let percent = |part: std::time::Duration| format!("{:.0} %", 100.0 * part.as_secs_f64() / total);
        let parts = parts(run).map(percent).join(" | ");
        let [rate, products, tile_products] = [run.rate, run.products, run.tile_products].map(|rate| rate / 1e9);
        let _ = writeln!(
            text,
            "| {} | {:.3} | {rate:.0} | {products:.0} | {tile_products:.0} | {parts} |",
            name_of(run),
            run.seconds
        );
    }
    text.push_str(
        "\n- *Softmax*: masks, the two largest logits, exponentials and their sums.\n\
         - *Sweep*: turns logits and products into every column sum.\n\
         - *Recomputing*: the part of the sweep that computes ‖v - o‖² again where it cancelled.\n\
         - *Packing*: centres and transposes keys and values, once.\n\
         - *Rest*: scales queries, finishes rows and adds up blocks.\n\
         - *Products of one tile*: the same products over and over on one tile of tokens that stays in the second-level cache. No pass over a long \
         cache reaches this rate.\n\n\
         [The strip engine](strip.md) explains how it works.\n",
    );
    text
}

fn parts(run: &Run) -> [std::time::Duration; 6] {
    let profile = run.profile;
    [
        profile.products,
        profile.softmax,
        profile.sweep,
        profile.recomputing,
        profile.packing,
        profile.rest,
    ]
}

fn name_of(run: &Run) -> String {
    format!("{}, d = {}, n = {}", run.storage, run.dim, run.tokens)
}

/// Time of each run in units of what the products alone would take.
fn figure(results: &Results) -> Result<plots::Figure, plots::PlotError> {
    let bars = results.runs.iter().map(|run| {
        // Processor time per thread against the floor's at the product rate.
        let floor = run.share() * run.seconds * run.threads as f64;
        Bar {
            name: name_of(run),
            parts: parts(run).map(|part| part.as_secs_f64() / floor).to_vec(),
        }
    });
    stacked_bars(
        "Time of the strip engine over the time of its matrix products alone",
        "Processor time by kind of work; 1 is the roofline: three products at the rate of the products alone.",
        "time over that of the products alone",
        &["products", "softmax", "sweep", "recomputing", "packing", "rest"],
        &bars.collect::<Vec<_>>(),
    )
}

/// The processor's name, with the numbers that tell apart what hypervisors call alike, where the system tells.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find_map(|(field, value)| (field.trim() == name).then(|| value.trim()))
    };
    let Some(name) = value("model name") else {
        return "An unnamed processor".to_owned();
    };
    let numbers = value("cpu family").zip(value("model"));
    let numbers = numbers.map_or(String::new(), |(family, model)| {
        format!(" (family {family}, model {model})")
    });
    let vectors = if text.contains(" avx512f ") {
        " with AVX-512"
    } else {
        ""
    };
    format!("{name}{numbers}{vectors}")
}
