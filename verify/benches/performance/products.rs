//! The rate that the engine is measured against: its three matrix products alone, in the shapes it gives them.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

use crate::data::Number;

/// Queries of a strip.
const ROWS: usize = 128;

/// Strips' worth of products per thread in one timing.
const TILES: usize = 24;

/// Floating-point operations a second of `threads` threads that each multiply tiles of their own: the best of a few
/// timings, so that a disturbed one does not flatter the engine.
pub fn rate<T: Number + ComplexField>(dim: usize, threads: usize) -> f64 {
    (0..5).map(|_| once::<T>(dim, threads)).fold(0.0, f64::max)
}

fn once<T: Number + ComplexField>(dim: usize, threads: usize) -> f64 {
    let ready = Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| multiply::<T>(dim, &ready)))
            .collect();
        let seconds = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        seconds.fold(0.0, f64::max)
    });
    let operations = threads * TILES * 3 * 2 * ROWS * T::TILE * dim;
    operations as f64 / slowest
}

/// Seconds of logits of a tile, outputs from a tile, and products of values and outputs, one after another, once all
/// threads have their tensors.
fn multiply<T: Number + ComplexField>(dim: usize, ready: &Barrier) -> f64 {
    let tokens = T::TILE;
    let number = |index: usize| T::from_f64((index % 89) as f64 / 89.0 - 0.5);
    let tile: Vec<T> = (0..tokens * dim).map(number).collect();
    let rows: Vec<T> = (0..ROWS * dim).map(number).collect();
    let mut pairs: Vec<T> = (0..ROWS * tokens).map(number).collect();
    let mut outputs = rows.clone();
    ready.wait();
    let start = Instant::now();
    for _ in 0..TILES {
        for _ in 0..2 {
            let left = MatRef::from_column_major_slice(&tile, tokens, dim);
            let right = MatRef::from_column_major_slice(&rows, dim, ROWS);
            let pairs = MatMut::from_column_major_slice_mut(&mut pairs, tokens, ROWS);
            matmul(pairs, Accum::Replace, left, right, number(89), Par::Seq);
        }
        let values = MatRef::from_column_major_slice(&tile, dim, tokens);
        let pairs = MatRef::from_column_major_slice(&pairs, tokens, ROWS);
        let outputs = MatMut::from_column_major_slice_mut(&mut outputs, dim, ROWS);
        matmul(outputs, Accum::Replace, values, pairs, number(88), Par::Seq);
    }
    let seconds = start.elapsed().as_secs_f64();
    black_box(outputs);
    seconds
}
