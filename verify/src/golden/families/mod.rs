//! The families of the suite; each file makes the cases of some of them in one dtype.

mod captured;
mod heads;
mod logits;
mod long;
mod masks;
mod shapes;
mod twins;
mod values;

use golden::Dtype;

use super::draft::Draft;

pub(super) use captured::captured;
pub(super) use long::long;

/// Every case of the default set but the captured ones, ordered by family and dtype.
pub(super) fn all() -> Vec<Draft> {
    let families: [fn(Dtype) -> Vec<Draft>; 20] = [
        shapes::plain,
        shapes::token_counts,
        shapes::channels,
        masks::bottom_right,
        masks::sliding_window,
        masks::masked,
        masks::varlen,
        heads::grouped,
        heads::windowed,
        logits::softcap,
        logits::sink,
        logits::near_one,
        logits::large_logits,
        values::offset,
        values::ties,
        values::zeros,
        values::subnormal,
        twins::permutation,
        twins::key_shift,
        twins::value_shift,
    ];
    let mut drafts = Vec::new();
    for family in families {
        for dtype in Dtype::ALL {
            drafts.extend(family(dtype));
        }
    }
    drafts
}
