//! The rate that the engine is measured against: its three matrix products alone, in the shapes it gives them.

use std::hint::black_box;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

use crate::data::Number;

/// Queries of a strip and tokens of a tile.
const ROWS: usize = 128;
const TILE: usize = 384;

/// Strips' worth of products per thread in one timing.
const TILES: usize = 24;

/// Floating-point operations a second of `threads` threads that each multiply tiles of their own.
pub fn rate<T: Number + ComplexField>(dim: usize, threads: usize) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| multiply::<T>(dim));
        }
    });
    let operations = threads * TILES * 3 * 2 * ROWS * TILE * dim;
    operations as f64 / start.elapsed().as_secs_f64()
}

/// Logits of a tile, outputs from a tile, and products of values and outputs, one after another.
fn multiply<T: Number + ComplexField>(dim: usize) {
    let number = |index: usize| T::from_f64((index % 89) as f64 / 89.0 - 0.5);
    let tile: Vec<T> = (0..TILE * dim).map(number).collect();
    let rows: Vec<T> = (0..ROWS * dim).map(number).collect();
    let mut pairs: Vec<T> = (0..ROWS * TILE).map(number).collect();
    let mut outputs = rows.clone();
    for _ in 0..TILES {
        for _ in 0..2 {
            let left = MatRef::from_column_major_slice(&tile, TILE, dim);
            let right = MatRef::from_column_major_slice(&rows, dim, ROWS);
            let pairs = MatMut::from_column_major_slice_mut(&mut pairs, TILE, ROWS);
            matmul(pairs, Accum::Replace, left, right, number(89), Par::Seq);
        }
        let values = MatRef::from_column_major_slice(&tile, dim, TILE);
        let pairs = MatRef::from_column_major_slice(&pairs, TILE, ROWS);
        let outputs = MatMut::from_column_major_slice_mut(&mut outputs, dim, ROWS);
        matmul(outputs, Accum::Replace, values, pairs, number(88), Par::Seq);
    }
    black_box(outputs);
}
