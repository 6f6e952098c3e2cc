//! The rate that the engine is measured against: the three matrix products of its strips alone.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

use crate::data::Number;

/// Queries of a strip.
const ROWS: usize = 128;

/// Tiles' worth of products per thread in one timing, about.
const TILES: usize = 48;

/// Floating-point operations a second of `threads` threads that each multiply strips of their own with the same `tokens`: the best
/// of a few timings, so that a disturbed one does not flatter the engine.
pub fn rate<T: Number + ComplexField>(dim: usize, tokens: usize, threads: usize) -> f64 {
    let tiles = tokens.div_ceil(T::TILE);
    let cache: Vec<T> = (0..tiles * T::TILE * dim).map(number).collect();
    let strips = (TILES / tiles).max(1);
    let operations = threads * strips * tiles * 3 * 2 * ROWS * T::TILE * dim;
    let seconds = (0..5).map(|_| once(&cache, (dim, strips), threads));
    operations as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// Seconds of the slowest thread.
fn once<T: Number + ComplexField>(cache: &[T], sizes: (usize, usize), threads: usize) -> f64 {
    let ready = Barrier::new(threads);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| multiply(cache, sizes, &ready)))
            .collect();
        let seconds = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        seconds.fold(0.0, f64::max)
    })
}

/// Seconds of so many strips, once all threads have their tensors: logits of all tiles, kept; then tile by tile outputs, and products of
/// values and outputs. One tensor stands for keys and values in each layout.
fn multiply<T: Number + ComplexField>(cache: &[T], (dim, strips): (usize, usize), ready: &Barrier) -> f64 {
    let rows: Vec<T> = (0..ROWS * dim).map(number).collect();
    // Not zeros, which the system would hand out, page by page, while the clock runs.
    let mut logits = vec![T::UNIT; ROWS * cache.len() / dim];
    let mut pairs: Vec<T> = (0..ROWS * T::TILE).map(number).collect();
    let mut outputs = rows.clone();
    ready.wait();
    let start = Instant::now();
    for _ in 0..strips {
        for (tile, logits) in tiles(cache, dim).zip(logits.chunks_mut(ROWS * T::TILE)) {
            multiply_pairs(logits, tile, &rows, dim);
        }
        for tile in tiles(cache, dim) {
            let values = MatRef::from_column_major_slice(tile, dim, T::TILE);
            let pairs = MatRef::from_column_major_slice(&pairs, T::TILE, ROWS);
            let outputs = MatMut::from_column_major_slice_mut(&mut outputs, dim, ROWS);
            matmul(outputs, Accum::Add, values, pairs, T::UNIT, Par::Seq);
        }
        for tile in tiles(cache, dim) {
            multiply_pairs(&mut pairs, tile, &rows, dim);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    black_box((outputs, logits, pairs));
    seconds
}

fn tiles<T: Number>(cache: &[T], dim: usize) -> impl Iterator<Item = &[T]> {
    cache.chunks(T::TILE * dim)
}

/// A tile of tokens with all queries of the strip.
fn multiply_pairs<T: Number + ComplexField>(pairs: &mut [T], tile: &[T], rows: &[T], dim: usize) {
    let left = MatRef::from_column_major_slice(tile, T::TILE, dim);
    let right = MatRef::from_column_major_slice(rows, dim, ROWS);
    let pairs = MatMut::from_column_major_slice_mut(pairs, T::TILE, ROWS);
    matmul(pairs, Accum::Replace, left, right, T::UNIT, Par::Seq);
}

/// Numbers of moderate size, far from overflow and underflow.
fn number<T: Number>(index: usize) -> T {
    T::from_f64((index % 89) as f64 / 89.0 - 0.5)
}
