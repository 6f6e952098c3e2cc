//! What a run takes beyond its inputs, buffer by buffer.

use super::block::{BLOCK, Workspace, widest};
use super::columns::COLUMNS;
use super::element::Element;
use super::first::{Contribution, SUMS};
use super::packed::{Survey, padded};
use super::problem::Problem;

/// Handles, queues and lists of a thread, whatever the problem.
const BOOKKEEPING: usize = 16 << 10;

/// Bytes that `threads` threads with strips of `height` queries take at most over a problem, results included.
pub(super) fn bytes<T: Element>(problem: &Problem<T>, threads: usize, height: usize) -> usize {
    let (heads, tokens) = (problem.group_size(), problem.kv_len());
    let tiles = tokens.div_ceil(T::TILE);
    let value_width = padded(problem.value_dim());
    let queries = problem.queries().len();

    let number = size_of::<T>();
    let packed = number * tiles * T::TILE * (problem.head_dim() + 2 * value_width + 2)
        + tokens * size_of::<[f64; 2]>()
        + 2 * size_of::<f64>() * (problem.head_dim() + value_width);
    let packing = surveys(problem, tiles) + copies(problem) + threads * number * T::TILE * (problem.head_dim() + 4);

    let sums = size_of::<f64>() * SUMS * tiles * T::TILE;
    let results = queries * (problem.value_dim() * number + size_of::<f64>());
    let block = number * (widest(problem) * SUMS * T::TILE + BLOCK * value_width)
        + BLOCK * (size_of::<Contribution>() + size_of::<f64>());
    let thread = Workspace::bytes(problem, height) + BOOKKEEPING;
    // A thread's own block, and one of its blocks that waits for those before it.
    let working = threads * (thread + 2 * block);
    let tasks = 64 * heads * queries.div_ceil(BLOCK);
    // The sums of one head are there until its columns have been made of them.
    let joining = sums + heads * COLUMNS * tokens * size_of::<f64>();

    packed + heads * results + packing.max(heads * sums + working + tasks).max(joining)
}

/// What is known of the tokens before they are packed.
fn surveys<T: Element>(problem: &Problem<T>, tiles: usize) -> usize {
    let channels = problem.head_dim() + problem.value_dim();
    (tiles + 2) * Survey::bytes(channels) + problem.kv_len() * size_of::<[f64; 2]>()
}

/// Keys and values that do not lie row after row are copied.
fn copies<T: Element>(problem: &Problem<T>) -> usize {
    let tensors = [problem.key(), problem.value()];
    let copied = tensors.iter().filter(|tensor| !tensor.is_standard_layout());
    copied.map(|tensor| tensor.len() * size_of::<T>()).sum()
}
