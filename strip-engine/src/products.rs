//! The three matrix products, by `faer`, each tokens (or channels) by queries with the queries as columns.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::element::Element;

/// `pairs[query][token] = sum over channels of left[channel][token] right[query][channel]`, for the first `columns`
/// tokens of a tile: logits from keys and queries, and v·o from values and outputs.
pub(crate) fn pairs<T: Element>(pairs: &mut [T], columns: usize, left: &[T], right: &[T], channels: usize) {
    let queries = right.len() / channels;
    let left = MatRef::from_column_major_slice_with_stride(left, columns, channels, T::TILE);
    let right = MatRef::from_column_major_slice(right, channels, queries);
    let pairs = MatMut::from_column_major_slice_with_stride_mut(pairs, columns, queries, T::STRIDE);
    matmul(pairs, Accum::Replace, left, right, T::UNIT, Par::Seq);
}

/// `outputs[query][channel] += sum over tokens of values[token][channel] pairs[query][token]`.
pub(crate) fn outputs<T: Element>(outputs: &mut [T], values: &[T], pairs: &[T], columns: usize, channels: usize) {
    let queries = outputs.len() / channels;
    let values = MatRef::from_column_major_slice(&values[..columns * channels], channels, columns);
    let pairs = MatRef::from_column_major_slice_with_stride(pairs, columns, queries, T::STRIDE);
    let outputs = MatMut::from_column_major_slice_mut(outputs, channels, queries);
    matmul(outputs, Accum::Add, values, pairs, T::UNIT, Par::Seq);
}
