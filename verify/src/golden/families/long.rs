//! The long case, made on demand: too large to commit.

use golden::Dtype;

use crate::golden::draft::{Draft, Size};

/// 8 192 tokens.
pub(in crate::golden) fn long() -> Vec<Draft> {
    let draft = |dtype| {
        let size = Size::square(8192, 64).queries(2).heads(2, 1);
        Draft::new("long", "8192", dtype, size)
            .comment("8 192 tokens: sums of many small weights, and accumulations that drift.")
            .flags(&["accumulate-precision", "tile-tail"])
            .only(&[
                "output",
                "log-sum-exp",
                "weight",
                "value",
                "key",
                "joint",
                "removal",
                "key-zeroing",
            ])
    };
    Dtype::ALL.map(draft).to_vec()
}
