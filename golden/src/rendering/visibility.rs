//! Which query sees which token, as a kernel with a mistaken mask sees it.

use super::deviation::Deviation;
use super::kernel::{Rendering, TILE};
use crate::{AttentionProblem, Mask};

/// Whether `query` sees `token`.
pub(super) fn visible(rendering: Rendering, problem: &AttentionProblem, query: usize, token: usize) -> bool {
    use Deviation as D;
    let is = |deviation| rendering.does(deviation);
    let shape = (problem.query_len(), problem.kv_len());
    if is(D::LastTileDropped) && problem.kv_len() > TILE && token >= problem.kv_len() / TILE * TILE {
        return false;
    }
    let mask = &problem.mask;
    let Some([q0, q1, k0, k1]) = sequence(mask, shape, query, token, is(D::SegmentsLeak)) else {
        return false;
    };
    let offset = if is(D::CausalTopLeft) {
        0
    } else {
        (k1 - k0) as isize - (q1 - q0) as isize
    };
    let age = (query - q0) as isize + offset - (token - k0) as isize;
    let youngest = match rendering.deviation {
        Some(D::CausalMissing) => isize::MIN,
        Some(D::CausalLate) => -1,
        Some(D::CausalStrict) => 1,
        _ => 0,
    };
    let window = |window: usize| match rendering.deviation {
        Some(D::WindowMissing) => isize::MAX,
        Some(D::WindowWide) => window as isize + 1,
        Some(D::WindowNarrow) => window as isize - 1,
        _ => window as isize,
    };
    (!mask.causal || age >= youngest)
        && mask.sliding_window.is_none_or(|tokens| age < window(tokens))
        && (is(D::MaskMissing) || mask.explicit.as_ref().is_none_or(|mask| mask[[query, token]]))
}

/// First query, end, first token, end of the sequence that both belong to.
fn sequence(
    mask: &Mask,
    (query_len, kv_len): (usize, usize),
    query: usize,
    token: usize,
    leak: bool,
) -> Option<[usize; 4]> {
    match &mask.segments {
        Some(segments) if !leak => segments.shared(query, token),
        _ => Some([0, query_len, 0, kv_len]),
    }
}
