//! Plain problems, and shapes that no tile divides.

use golden::{Dtype, Mask};

use crate::golden::draft::{Draft, Size};

/// Nothing special: the first thing to get right.
pub(super) fn plain(dtype: Dtype) -> Vec<Draft> {
    let size = Size::square(16, 16).heads(2, 2);
    vec![
        Draft::new("plain", "causal", dtype, size)
            .comment("Two heads, causal, everything else plain.")
            .flags(&[
                "scale",
                "key-scaling",
                "cross-term",
                "weight-power",
                "log-base",
                "renormalisation",
            ]),
        Draft::new("plain", "all-see-all", dtype, size.queries(12))
            .comment("No mask at all.")
            .flags(&["always-causal", "scale", "cross-term"])
            .mask(Mask::default()),
        Draft::new("plain", "other-scale", dtype, size)
            .comment("A scale that is not 1/sqrt(head_dim) and no power of two.")
            .flags(&["fixed-scale", "scale", "key-scaling"])
            .change(|problem| problem.scale = 0.37),
        Draft::new("plain", "larger", dtype, Size::square(48, 32).heads(3, 3).values(24))
            .comment("Three heads of more tokens, value_dim below head_dim.")
            .flags(&["scale", "cross-term", "value-dim", "rounded-weights"]),
    ]
}

/// Token counts around the sizes of tiles.
pub(super) fn token_counts(dtype: Dtype) -> Vec<Draft> {
    let counts = [1, 2, 3, 17, 63, 64, 65, 127, 129, 255, 257];
    counts.map(|tokens| of_tokens(dtype, tokens)).to_vec()
}

fn of_tokens(dtype: Dtype, tokens: usize) -> Draft {
    // Above 129 tokens a few last queries: they see the tail of every tile.
    let queries = if tokens > 129 { 9 } else { tokens };
    let draft = Draft::new(
        "tokens",
        format!("{tokens:03}"),
        dtype,
        Size::square(tokens, 16).queries(queries),
    )
    .comment(format!(
        "{tokens} tokens, {queries} queries: the last tile of tokens is not full."
    ))
    .flags(&["tile-tail", "query-tail"]);
    match tokens {
        1 => draft.flags(&["sole-token"]),
        255.. => draft.flags(&["accumulate-precision"]),
        _ => draft,
    }
}

/// Channel counts around the widths of vectors.
pub(super) fn channels(dtype: Dtype) -> Vec<Draft> {
    let shapes = [
        (16, 40),
        (40, 40),
        (64, 16),
        (80, 80),
        (96, 96),
        (128, 128),
        (192, 128),
        (256, 256),
    ];
    shapes
        .map(|(head_dim, value_dim)| of_channels(dtype, head_dim, value_dim))
        .to_vec()
}

fn of_channels(dtype: Dtype, head_dim: usize, value_dim: usize) -> Draft {
    let size = Size::square(24, head_dim).queries(4).values(value_dim);
    let draft = Draft::new("channels", format!("{head_dim:03}-{value_dim:03}"), dtype, size)
        .comment(format!("{head_dim} channels of query and key, {value_dim} of value."))
        .flags(&["vector-tail", "fixed-scale"]);
    if head_dim == value_dim {
        draft
    } else {
        draft.flags(&["value-dim"])
    }
}
