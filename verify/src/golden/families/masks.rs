//! Who sees whom.

use golden::{Dtype, Mask, Segments};
use ndarray::{Array2, s};

use crate::golden::draft::{Draft, Size};

/// Fewer queries than tokens, down to one, and more.
pub(super) fn bottom_right(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str, queries, tokens| {
        let size = Size::square(tokens, 16).queries(queries).heads(2, 1);
        Draft::new("bottom-right", name, dtype, size).flags(&["bottom-right"])
    };
    vec![
        draft("decode", 1, 33)
            .comment("One query, as in decoding: it sees every token.")
            .flags(&["single-query"]),
        draft("chunk", 5, 40).comment("The last query sees the last token; the first sees 36."),
        draft("half", 20, 40).comment("Half as many queries as tokens."),
        draft("more-queries", 9, 5)
            .comment("More queries than tokens: the first four see nothing.")
            .flags(&["fully-masked"]),
    ]
}

/// Sliding windows, the narrowest of one token.
pub(super) fn sliding_window(dtype: Dtype) -> Vec<Draft> {
    let draft = |window: usize, queries: usize| {
        let name = format!("{window:02}-of-40-queries-{queries:02}");
        let mask = Mask {
            sliding_window: Some(window),
            ..Mask::causal()
        };
        Draft::new("sliding-window", name, dtype, Size::square(40, 16).queries(queries))
            .comment(format!(
                "Each query sees its own token and the {} before it.",
                window - 1
            ))
            .flags(&["window-edge"])
            .mask(mask)
    };
    vec![
        draft(1, 6).flags(&["sole-token"]),
        draft(4, 40),
        draft(16, 40),
        draft(16, 7).flags(&["bottom-right"]),
        draft(64, 12),
    ]
}

/// Explicit masks: padding, holes, and rows that see nothing.
pub(super) fn masked(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str, mask: fn((usize, usize)) -> bool| {
        Draft::new("masked", name, dtype, Size::square(20, 16).queries(10).heads(2, 1))
            .mask(Mask {
                explicit: Some(Array2::from_shape_fn((10, 20), mask)),
                ..Mask::default()
            })
            .flags(&["masked-value"])
    };
    let padded: fn((usize, usize)) -> bool = |(_, j)| j < 13;
    vec![
        draft("padding", padded)
            .comment("Only the first 13 tokens are real; the padding holds large keys and values.")
            .flags(&["padding-counted", "finite-mask"])
            .change(|problem| {
                problem.key.slice_mut(s![.., 13.., ..]).mapv_inplace(|x| 3.0 * x);
                problem
                    .value
                    .slice_mut(s![.., 13.., ..])
                    .mapv_inplace(|x| 50.0 * x + 100.0);
            }),
        draft("zero-padding", padded)
            .comment("Only the first 13 tokens are real; the padding is 0, so that its logit is 0.")
            .flags(&["padding-counted", "finite-mask"])
            .change(|problem| {
                problem.key.slice_mut(s![.., 13.., ..]).fill(0.0);
                problem.value.slice_mut(s![.., 13.., ..]).fill(0.0);
            }),
        draft("holes", |(i, j)| (i * 7 + j * 3) % 5 != 0).comment("Every fifth pair is hidden, in no order."),
        draft("blind-rows", |(i, j)| i % 3 != 1 && j <= i + 10)
            .comment("Every third query sees nothing: its output is 0 and it adds 0 to every saliency.")
            .flags(&["fully-masked", "finite-mask"]),
        draft("blind-rows-sink", |(i, j)| i % 3 != 1 && j <= i + 10)
            .comment("Every third query sees nothing but its sink: its log-sum-exp is the sink logit.")
            .flags(&["fully-masked", "finite-mask", "sink-in-sum"])
            .change(|problem| problem.sinks = Some(vec![0.75, -1.5])),
        draft("sole-tokens", |(i, j)| if i < 5 { j == 3 * i } else { j + 8 > 2 * i })
            .comment("Half of the queries see one token alone, whose removal takes their whole output.")
            .flags(&["sole-token"]),
    ]
}

/// Packed batches of sequences.
pub(super) fn varlen(dtype: Dtype) -> Vec<Draft> {
    let packed = |name: &str, segments: Segments, mask: Mask| {
        let size = Size::square(26, 16).queries(15).heads(2, 2);
        Draft::new("varlen", name, dtype, size)
            .flags(&["segment-leak", "bottom-right"])
            .mask(Mask {
                segments: Some(segments),
                ..mask
            })
    };
    let segments = || Segments {
        query: vec![0, 3, 4, 10, 15],
        kv: vec![0, 7, 12, 18, 26],
    };
    vec![
        packed("causal", segments(), Mask::causal())
            .comment("Four sequences of 3, 1, 6 and 5 queries over 7, 5, 6 and 8 tokens."),
        packed("all-see-all", segments(), Mask::default())
            .comment("The same sequences; each query sees its whole sequence.")
            .flags(&["always-causal"]),
        packed(
            "window",
            segments(),
            Mask {
                sliding_window: Some(3),
                ..Mask::causal()
            },
        )
        .comment("The same sequences with a window of 3.")
        .flags(&["window-edge"]),
        packed(
            "empty-sequences",
            Segments {
                query: vec![0, 0, 6, 9, 15],
                kv: vec![0, 5, 14, 14, 26],
            },
            Mask::causal(),
        )
        .comment("A sequence without queries, and one whose queries have no tokens.")
        .flags(&["fully-masked"]),
    ]
}
