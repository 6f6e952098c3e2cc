//! The measurements behind every ratio.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use faer::traits::ComplexField;
use ndarray::{Array1, Array2, s};
use obcache_scores::serve::{Policy, Tracker};
use obcache_scores::{Score, accumulate, exact};
use obd_core::{Head, Perturbation, QueryWindow};
use reference_attention::attend;
use strip_engine::{Buffers, Cache, Column, Decoder, Engine, Profile};

use crate::data::{Number, Tensors};
use crate::products;

/// One run of the engine against the products alone.
pub struct Run {
    pub storage: &'static str,
    pub dim: usize,
    pub tokens: usize,
    pub threads: usize,
    /// Of the fastest repeat.
    pub seconds: f64,
    pub profile: Profile,
    /// Floating-point operations a second: 3 n² d over the time of the run.
    pub rate: f64,
    /// Of the products of strips alone, measured between the repeats.
    pub products: f64,
    /// Of the same products over and over on one tile of tokens.
    pub tile_products: f64,
}

impl Run {
    /// The share of the products' rate that the whole engine reaches.
    pub fn share(&self) -> f64 {
        self.rate / self.products
    }

    /// The faster of two runs over the same problem, beside the products at their fastest.
    pub fn or_faster(self, other: Self) -> Self {
        let products = self.products.max(other.products);
        let tile_products = self.tile_products.max(other.tile_products);
        let faster = if other.seconds < self.seconds { other } else { self };
        Self {
            products,
            tile_products,
            ..faster
        }
    }
}

/// The engine on a causal head, the fastest of so many repeats, each beside a timing of the products alone.
pub fn run<T: Number + ComplexField>(dim: usize, tokens: usize, threads: usize, repeats: usize) -> Run {
    let tensors = Tensors::<T>::new(tokens, tokens, dim);
    let problem = tensors.problem();
    let engine = engine(threads);
    // As in a run over many heads: the first repeat makes them, and is not the fastest.
    let mut buffers = Buffers::new();
    let mut best = (f64::INFINITY, Profile::default());
    let (mut products, mut tile_products) = (0.0f64, 0.0f64);
    for _ in 0..repeats {
        // Under causal order a query sees half of the tokens, on average.
        products = products.max(products::rate::<T>(dim, tokens / 2, threads));
        tile_products = tile_products.max(products::rate::<T>(dim, T::TILE, threads));
        let start = Instant::now();
        let (saliencies, profile) = engine.run_in(&mut buffers, &problem, &|| {});
        let seconds = start.elapsed().as_secs_f64();
        std::hint::black_box(saliencies);
        if seconds < best.0 {
            best = (seconds, profile);
        }
    }
    let (seconds, profile) = best;
    let operations = 3.0 * (tokens as f64).powi(2) * dim as f64;
    Run {
        storage: T::NAME,
        dim,
        tokens,
        threads,
        seconds,
        profile,
        rate: operations / seconds,
        products,
        tile_products,
    }
}

fn engine(threads: usize) -> Engine {
    Engine::new().with_threads(NonZero::new(threads).expect("at least one thread"))
}

/// Seconds of the trace-based path for the same numbers: attention by the reference, every score, every perturbation.
pub fn trace_path(dim: usize, tokens: usize) -> f64 {
    let Tensors { query, key, value } = Tensors::<f64>::new(tokens, tokens, dim);
    let head = Head::new(query, key, value).expect("finite tensors that fit");
    let start = Instant::now();
    let trace = attend(&head);
    for score in Score::ALL {
        std::hint::black_box(accumulate(&score.contributions(&head, &trace), QueryWindow::All));
    }
    for what in [Perturbation::KeyZeroing, Perturbation::JointZeroing] {
        std::hint::black_box(accumulate(&exact::contributions(what, &head, &trace), QueryWindow::All));
    }
    start.elapsed().as_secs_f64()
}

/// Fastest seconds of the formulas in eager PyTorch, or why there are none.
pub fn peer(dim: usize, tokens: usize, threads: usize) -> Result<f64, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer/eager.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let numbers = [tokens, dim, threads, 3].map(|number| number.to_string());
    let output = Command::new(&python).arg(script).args(numbers).output();
    let output = output.map_err(|error| format!("{python} does not run: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last = errors.lines().last().unwrap_or("no message");
        return Err(format!("{python}: {last}"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = text.lines().filter_map(|line| line.parse().ok()).reduce(f64::min);
    seconds.ok_or_else(|| format!("{python} printed no time"))
}

/// The shares that decode steps over so many cached tokens, the new token and the tracker's update included, reach of a plain
/// read of as many keys and values, each of the read before it: the memory of a shared machine keeps no speed for long.
pub fn decode_shares(dim: usize, tokens: usize, threads: usize) -> Vec<f64> {
    const STEPS: usize = 51;
    let tensors = Tensors::<f32>::new(STEPS, tokens, dim);
    let mut cache = Cache::of(tensors.key.view(), tensors.value.view()).expect("finite tensors that fit");
    let mut tracker = Tracker::new(Policy {
        score: Some(Score::Joint),
        prefill_window: QueryWindow::Last(1),
        ..Policy::unscored(tokens)
    });
    let prompt = tensors.problem().with_queries(tracker.policy().prefill_window);
    let saliencies = engine(threads).run(&prompt);
    let prompt = |head: usize, _, sums: &mut Array1<f64>| sums.assign(saliencies[head].column(Column::Joint));
    tracker.take_prefill(tokens, prompt).expect("an empty cache");
    let mut decoder = Decoder::new().with_threads(NonZero::new(threads).expect("at least one thread"));
    let step = |token: usize| {
        let start = Instant::now();
        read(&tensors, threads);
        let read = start.elapsed();
        let start = Instant::now();
        let (key, value) = (tensors.key.row(token), tensors.value.row(token));
        cache.push(key, value).expect("a token that fits");
        let query = tensors.query.slice(s![token..token + 1, ..]);
        let step = decoder.step(&cache, query).expect("a query that fits");
        let add = |head, _, sums: &mut _| step.add_to(head, Column::Joint, sums);
        tracker.take_step(step.kv_len(), add).expect("one token more");
        read.as_secs_f64() / start.elapsed().as_secs_f64()
    };
    let shares = (0..STEPS).map(step).collect();
    std::hint::black_box(tracker);
    shares
}

/// Reads keys and values once, each thread a part of both, adding them up.
fn read(tensors: &Tensors<f32>, threads: usize) {
    let sum = |numbers: &[f32]| {
        let mut sums = [0.0f32; 32];
        for chunk in numbers.as_chunks::<32>().0 {
            for lane in 0..32 {
                sums[lane] += chunk[lane];
            }
        }
        std::hint::black_box(sums);
    };
    let parts = |tensor: &'_ Array2<f32>| tensor.len().div_ceil(threads);
    // On the threads that the decoder has.
    rayon::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move |_| {
                for tensor in [&tensors.key, &tensors.value] {
                    let numbers = tensor.as_slice().expect("in standard layout");
                    numbers.chunks(parts(tensor)).skip(thread).take(1).for_each(sum);
                }
            });
        }
    });
}

/// Slope of log time against log length: the exponent of the growth.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / logs.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// Seconds of one run over a causal head of 128 channels, and the most bytes the process held beyond its inputs: measured in a
/// process that has run nothing else, or what others left behind would count.
pub fn longest(tokens: usize, threads: usize) -> (f64, Option<usize>) {
    let tensors = Tensors::<f32>::new(tokens, tokens, 128);
    let start = Instant::now();
    std::hint::black_box(engine(threads).run(&tensors.problem()));
    let seconds = start.elapsed().as_secs_f64();
    let inputs = 3 * tensors.key.len() * size_of::<f32>();
    (seconds, peak_memory().map(|peak| peak.saturating_sub(inputs)))
}

/// The most memory the process has held, in bytes; `None` where the system does not say.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024 * kilobytes)
}

/// Seconds of a duration in milliseconds, for tables.
pub fn milliseconds(duration: Duration) -> f64 {
    1e3 * duration.as_secs_f64()
}
