//! What a run takes beyond its inputs, buffer by buffer.

use super::block::{BLOCK, Workspace, widest};
use super::columns::COLUMNS;
use super::element::Element;
use super::first::Contribution;
use super::packed::{Survey, padded};
use super::pair_sums::SUMS;
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, ShapeBuilder};

    /// What a problem of these sizes, (group_size, query_len, kv_len, head_dim, value_dim), is said to take.
    fn stated(
        [group, queries, tokens, channels, value_channels]: [usize; 5],
        (threads, height): (usize, usize),
    ) -> usize {
        let query = Array3::<f32>::zeros((group, queries, channels));
        let key = Array2::zeros((tokens, channels).f());
        let value = Array2::zeros((tokens, value_channels));
        let problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
        bytes(&problem, threads, height)
    }

    /// A thread's buffers for 13 queries of 3 channels in 2 tiles, with 8 channels of values: numbers of 16 padded queries, then what
    /// a query has of its own.
    const WORKSPACE: usize = 4 * 16 * (3 + 3 * 400 + 8) + 13 * (8 + 192 + 24 + 4 + 8 + 24 + 48);

    #[test]
    fn two_threads_at_work_by_hand() {
        let packed = 4 * 768 * (3 + 2 * 8 + 2) + 500 * 16 + 2 * 8 * (3 + 8);
        let block = 4 * (2 * 11 * 384 + 256 * 8) + 256 * (96 + 8);
        let working = 2 * (WORKSPACE + 16384 + 2 * block);
        let (results, sums, tasks) = (300 * (5 * 4 + 8), 8 * 11 * 768, 64 * 2 * 2);
        let expected = packed + 2 * results + 2 * sums + working + tasks;
        assert_eq!(stated([2, 300, 500, 3, 5], (2, 13)), expected);
    }

    #[test]
    fn keys_that_are_copied_by_hand() {
        let packed = 4 * 1152 * (2000 + 2 * 8 + 2) + 1000 * 16 + 2 * 8 * (2000 + 8);
        let surveys = 5 * (72 + 2005 * 24) + 1000 * 16;
        let packing = surveys + 1000 * 2000 * 4 + 2 * 4 * 384 * 2004;
        assert_eq!(stated([1, 1, 1000, 2000, 5], (2, 13)), packed + 5 * 4 + 8 + packing);
    }

    #[test]
    fn columns_of_many_heads_by_hand() {
        let packed = 4 * 768 * (3 + 2 * 8 + 2) + 768 * 16 + 2 * 8 * (3 + 8);
        let joining = 8 * 11 * 768 + 60 * 13 * 768 * 8;
        assert_eq!(
            stated([60, 2, 768, 3, 5], (1, 1)),
            packed + 60 * 2 * (5 * 4 + 8) + joining
        );
    }
}
