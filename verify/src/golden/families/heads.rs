//! Groups of query heads, and what is done to saliencies before a selection.

use golden::Dtype;

use crate::golden::draft::{Draft, Size};

/// Query heads that share KV heads, and the reductions over a group.
pub(super) fn grouped(dtype: Dtype) -> Vec<Draft> {
    let groupings = [(4, 4), (4, 2), (8, 2), (8, 1), (16, 2), (6, 1), (6, 2)];
    groupings
        .map(|(query_heads, kv_heads)| of_heads(dtype, query_heads, kv_heads))
        .to_vec()
}

fn of_heads(dtype: Dtype, query_heads: usize, kv_heads: usize) -> Draft {
    let size = Size::square(18, 16).queries(6).heads(query_heads, kv_heads);
    Draft::new("grouped", format!("{query_heads}-on-{kv_heads}"), dtype, size)
        .comment(format!(
            "{query_heads} query heads on {kv_heads} KV heads; query head h reads KV head h / {}.",
            query_heads / kv_heads
        ))
        .flags(&["group-mapping", "group-reduction", "weight-power"])
        .also(&[
            "weight.group-mean",
            "value.group-sum",
            "key.group-sum",
            "joint.group-sum",
            "joint.group-mean",
            "joint.group-max",
            "removal.group-sum",
            "removal.group-mean",
            "key-zeroing.group-sum",
        ])
}

/// Query windows and pooling, as SnapKV and TOVA use them.
pub(super) fn windowed(dtype: Dtype) -> Vec<Draft> {
    let outputs = [
        "weight",
        "weight.last-1",
        "weight.last-8",
        "weight.last-8.max-pool-7",
        "weight.last-8.average-pool-5",
        "weight.last-8.average-pool-5.group-mean",
        "weight.last-8.max-pool-7.group-mean",
        "weight.last-8.max-pool-7.group-max",
        "value.last-8",
        "key.last-8",
        "joint.last-1",
        "joint.last-8",
        "joint.last-8.max-pool-7",
        "joint.last-8.average-pool-7",
        "removal.last-8",
        "removal.last-8.group-sum",
    ];
    let draft = |name: &str, size: Size| {
        Draft::new("windowed", name, dtype, size)
            .flags(&["query-window", "pooling-edge", "pooling-order"])
            .only(&outputs)
    };
    vec![
        draft("prefill", Size::square(40, 16).heads(4, 2))
            .comment("The last queries of a prefill, max- and average-pooled over the tokens."),
        draft("few-tokens", Size::square(4, 16).heads(2, 1))
            .comment("Fewer queries than the window and fewer tokens than the pool."),
    ]
}
