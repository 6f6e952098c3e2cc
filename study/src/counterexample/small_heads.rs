//! Heads of small whole numbers.

use ndarray::Array2;
use obd_core::{Head, ProblemError, Visibility};
use proptest::collection::vec;
use proptest::prelude::*;

/// Lengths of the axes of a head.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub tokens: usize,
    queries: usize,
    head_dim: usize,
    value_dim: usize,
}

const fn size(tokens: usize, queries: usize, head_dim: usize, value_dim: usize) -> Size {
    Size {
        tokens,
        queries,
        head_dim,
        value_dim,
    }
}

/// From the smallest on; 5 tokens and more let the pooled heuristics tell tokens apart, and one query a token is what some
/// scores of the field need.
pub(super) const SIZES: [Size; 10] = [
    size(2, 1, 1, 1),
    size(2, 1, 1, 2),
    size(2, 2, 1, 1),
    size(3, 1, 1, 1),
    size(3, 1, 1, 2),
    size(3, 2, 2, 2),
    size(5, 1, 1, 1),
    size(6, 1, 1, 2),
    size(8, 2, 2, 2),
    size(4, 4, 2, 2),
];

/// Heads of a size with scale 1 in which every query sees every token. Queries and keys lie in -2..=2, values in
/// -4..=4, so that no weight comes within rounding of 1: two logits differ by 16 at most.
pub(super) fn heads(size: Size) -> impl Strategy<Value = Head> {
    let Size {
        tokens,
        queries,
        head_dim,
        value_dim,
    } = size;
    let numbers = |rows: usize, columns: usize, largest: i8| vec(-largest..=largest, rows * columns);
    let tensors = (
        numbers(queries, head_dim, 2),
        numbers(tokens, head_dim, 2),
        numbers(tokens, value_dim, 4),
    );
    tensors.prop_filter_map("a head", move |(query, key, value)| {
        head(size, [&query, &key, &value]).ok()
    })
}

fn head(size: Size, [query, key, value]: [&[i8]; 3]) -> Result<Head, ProblemError> {
    let tensor = |rows: usize, columns: usize, numbers: &[i8]| {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            f64::from(numbers[row * columns + column])
        })
    };
    Head::new(
        tensor(size.queries, size.head_dim, query),
        tensor(size.tokens, size.head_dim, key),
        tensor(size.tokens, size.value_dim, value),
    )?
    .with_scale(1.0)?
    .with_visibility(Visibility::all(size.queries, size.tokens))
}
