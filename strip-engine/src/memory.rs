//! What a run takes beyond its inputs, buffer by buffer.

use crate::block::Workspace;
use crate::block_sums::BlockSums;
use crate::columns::COLUMNS;
use crate::element::Element;
use crate::packed::Packed;
use crate::pair_sums::SUMS;
use crate::problem::Problem;
use crate::sizes::Sizes;
use crate::survey::Survey;
use crate::tiling::BLOCK;

/// Handles, queues and lists of a thread, whatever the problem.
const BOOKKEEPING: usize = 16 << 10;

/// Bytes that a run of these sizes takes at most over a problem, results included.
pub(crate) fn bytes<T: Element>(problem: &Problem<T>, sizes: &Sizes) -> usize {
    let (heads, tokens, queries) = (problem.group_size(), problem.kv_len(), problem.queries().len());
    let results = queries * (problem.value_dim() * size_of::<T>() + size_of::<f64>());
    // A thread's own block, and one of its blocks that waits for those before it.
    let thread = Workspace::<T>::bytes(sizes) + 2 * BlockSums::<T>::bytes(sizes) + BOOKKEEPING;

    let rows = size_of::<T>() * T::TILE * (sizes.head_dim + 4);
    let packing = surveys(problem, sizes.tiles) + copies(problem) + sizes.threads * rows;
    let sums = size_of::<f64>() * SUMS * sizes.tiles * T::TILE;
    let tasks = 64 * heads * queries.div_ceil(BLOCK);
    // Head by head, columns take the place of sums, which are there until the columns are.
    let columns = size_of::<f64>() * COLUMNS * tokens;
    let joining = heads * sums.max(columns) + sums.min(columns);

    Packed::<T>::bytes(sizes)
        + sizes.threads * thread
        + heads * results
        + packing.max(heads * sums + tasks).max(joining)
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
        bytes(&problem, &Sizes::new(&problem, threads, height))
    }

    /// What a query has of its own in a thread's buffers, beside its numbers.
    const QUERY: usize = 8 + 192 + 24 + 4 + 8 + 24 + 48;

    #[test]
    fn two_threads_by_hand() {
        let packed = 768 * (4 * (3 + 2 * 8 + 2) + 16) + 2 * 8 * (3 + 8);
        let block = 4 * (2 * 11 * 384 + 256 * 8) + 256 * (96 + 8);
        // 13 queries are padded to 16; logits of 2 tiles, and pairs of one.
        let rows = 4 * 16 * (3 + 3 * 400 + 8) + 13 * QUERY;
        let working = 2 * (rows + 16384 + 2 * block);
        let (results, sums, columns) = (300 * (5 * 4 + 8), 8 * 11 * 768, 8 * 13 * 500);
        let expected = packed + 2 * results + 2 * sums + working + columns;
        assert_eq!(stated([2, 300, 500, 3, 5], (2, 13)), expected);
    }

    #[test]
    fn keys_that_are_copied_by_hand() {
        let packed = 1152 * (4 * (2000 + 2 * 8 + 2) + 16) + 2 * 8 * (2000 + 8);
        let surveys = 5 * (72 + 2005 * 24) + 1000 * 16;
        let packing = surveys + 1000 * 2000 * 4 + 2 * 4 * 384 * 2004;
        let rows = 4 * 16 * (2000 + 4 * 400 + 8) + 13 * QUERY;
        let block = 4 * (3 * 11 * 384 + 256 * 8) + 256 * (96 + 8);
        let expected = packed + 2 * (rows + 16384 + 2 * block) + 5 * 4 + 8 + packing;
        assert_eq!(stated([1, 1, 1000, 2000, 5], (2, 13)), expected);
    }

    #[test]
    fn many_queries_of_one_token_by_hand() {
        let packed = 384 * (4 * (3 + 2 * 8 + 2) + 16) + 2 * 8 * (3 + 8);
        let rows = 4 * 8 * (3 + 2 * 400 + 8) + QUERY;
        let block = 4 * (11 * 384 + 256 * 8) + 256 * (96 + 8);
        let (results, sums, tasks) = (600 * (5 * 4 + 8), 8 * 11 * 384, 64 * 2 * 3);
        let expected = packed + rows + 16384 + 2 * block + 2 * results + 2 * sums + tasks;
        assert_eq!(stated([2, 600, 1, 3, 5], (1, 1)), expected);
    }

    #[test]
    fn columns_of_many_heads_by_hand() {
        let packed = 768 * (4 * (3 + 2 * 8 + 2) + 16) + 2 * 8 * (3 + 8);
        let rows = 4 * 8 * (3 + 3 * 400 + 8) + QUERY;
        let block = 4 * (2 * 11 * 384 + 256 * 8) + 256 * (96 + 8);
        let joining = 8 * 11 * 768 + 60 * 13 * 768 * 8;
        let expected = packed + rows + 16384 + 2 * block + 60 * 2 * (5 * 4 + 8) + joining;
        assert_eq!(stated([60, 2, 768, 3, 5], (1, 1)), expected);
    }
}
