//! How fast a checkpoint runs: `cargo run --release -p reference-model --example speed -- [FOLDER] [TOKENS]`, the embedded
//! llama-tiny and 2048 tokens without.
//!
//! The rate of the prefill counts two operations for each weight and token, output head left out, and stands beside the rate
//! of the same matrix products on warm 32-bit matrices.

use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use reference_model::{Config, Model, ModelError, Source};

/// Tokens that are decoded after the prefill.
const STEPS: usize = 32;

fn main() -> Result<(), ModelError> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments.next().map_or(Source::llama_tiny(), Source::folder);
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(2048 - STEPS);
    let (model, loading) = timed(|| Model::<f32>::load(&source));
    let model = model?;
    let tokens: Vec<u32> = (0..count).map(|token| token as u32 * 7 % 256).collect();
    let mut cache = model.cache();
    let (hidden, prefill) = timed(|| model.prefill(&tokens, &mut cache, &mut |_, _| Ok(())));
    let hidden = hidden?;
    let logits = model.logits(hidden.slice(ndarray::s![count - 1.., ..]));
    let (decoded, decode) = timed(|| {
        (0..STEPS).try_for_each(|step| {
            model
                .decode(&[step as u32], &mut cache, &mut |_, _, _| Ok(()))
                .map(drop)
        })
    });
    decoded?;
    let weights = layer_weights(model.config());
    let rate = 2.0 * weights * count as f64 / prefill / 1e9;
    let products = product_rate();
    println!(
        "{}: loaded in {loading:.2} s, largest logit {:.2}",
        source.name(),
        logits.fold(f32::MIN, |a, &b| a.max(b))
    );
    println!(
        "prefill of {count} tokens: {prefill:.2} s, {rate:.0} GFLOP/s, {:.0} % of the products' {products:.0}",
        100.0 * rate / products
    );
    println!("decode after {count}: {:.1} tokens a second", STEPS as f64 / decode);
    Ok(())
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Weights of all layers.
fn layer_weights(config: &Config) -> f64 {
    let attention = 2 * config.hidden * (config.query_width() + config.kv_width());
    (config.num_layers * (attention + 3 * config.hidden * config.intermediate)) as f64
}

/// GFLOP/s of a 32-bit product on every core at once, the best of three.
fn product_rate() -> f64 {
    let (rows, inner, columns) = (128, 2048, 2048);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (left, right) = (Mat::<f32>::ones(rows, inner), Mat::<f32>::ones(inner, columns));
        let mut product = Mat::<f32>::zeros(rows, columns);
        for _ in 0..20 {
            matmul(
                product.as_mut(),
                Accum::Replace,
                left.as_ref(),
                right.as_ref(),
                1.0,
                Par::Seq,
            );
        }
    };
    let run = || timed(|| std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))))).1;
    let best = (0..3).map(|_| run()).fold(f64::INFINITY, f64::min);
    (threads * 20 * 2 * rows * inner * columns) as f64 / best / 1e9
}
