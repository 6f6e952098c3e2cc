//! Random attention problems, every one of them valid, with the awkward ones drawn often.

use ndarray::Array2;
use obd_core::{Head, Softcap, Visibility};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What makes a problem awkward.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Plain,
    EqualKeys,
    ZeroKeys,
    ZeroValues,
    /// Every token is the first one.
    Ties,
    /// The same number added to every value.
    ValueOffset(f64),
    /// Queries scaled so that the largest logit has this size.
    LargestLogit(f64),
}

/// Any head: 1 to 9 queries and tokens, every mask and option, logits up to 700.
pub fn head() -> impl Strategy<Value = Head> {
    let edge = prop_oneof![
        6 => Just(Edge::Plain),
        1 => Just(Edge::EqualKeys),
        1 => Just(Edge::ZeroKeys),
        1 => Just(Edge::ZeroValues),
        1 => Just(Edge::Ties),
        1 => Just(Edge::ValueOffset(1e3)),
        1 => Just(Edge::LargestLogit(30.0)),
        1 => Just(Edge::LargestLogit(80.0)),
        1 => Just(Edge::LargestLogit(700.0)),
    ];
    (plain(), edge, options()).prop_filter_map("valid by construction", |(head, edge, options)| {
        options.apply(awkward(head, edge)?)
    })
}

/// Heads whose logits stay near 1, with every mask and option: for derivatives and limits.
pub fn moderate_head() -> impl Strategy<Value = Head> {
    (plain(), options()).prop_filter_map("valid by construction", |(head, options)| options.apply(head))
}

/// Heads without soft-cap, sink and ALiBi, logits near 1, every mask.
pub fn plain_head() -> impl Strategy<Value = Head> {
    plain()
}

/// Soft-cap, sink and ALiBi slope, each or none.
#[derive(Debug, Clone)]
struct Options {
    cap: Option<f64>,
    sink: Option<f64>,
    slope: Option<f64>,
}

impl Options {
    fn apply(self, mut head: Head) -> Option<Head> {
        if let Some(cap) = self.cap {
            head = head.with_softcap(Softcap::new(cap).ok()?);
        }
        if let Some(sink) = self.sink {
            head = head.with_sink(sink).ok()?;
        }
        match self.slope {
            Some(slope) => head.with_alibi(slope).ok(),
            None => Some(head),
        }
    }
}

fn options() -> impl Strategy<Value = Options> {
    (
        option::weighted(0.3, 0.5..30.0),
        option::weighted(0.3, -3.0..5.0),
        option::weighted(0.3, 0.0..1.0),
    )
        .prop_map(|(cap, sink, slope)| Options { cap, sink, slope })
}

fn plain() -> impl Strategy<Value = Head> {
    (1..=9_usize, 1..=9_usize, 1..=5_usize, 1..=4_usize).prop_flat_map(|(queries, tokens, head_dim, value_dim)| {
        (
            matrix(queries, head_dim),
            matrix(tokens, head_dim),
            matrix(tokens, value_dim),
            visibility(queries, tokens),
        )
            .prop_filter_map("valid by construction", |(query, key, value, visibility)| {
                Head::new(query, key, value).ok()?.with_visibility(visibility).ok()
            })
    })
}

/// A matrix of numbers in (-2, 2).
pub fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    vec(-2.0..2.0, rows * columns).prop_filter_map("valid by construction", move |elements| {
        Array2::from_shape_vec((rows, columns), elements).ok()
    })
}

fn visibility(queries: usize, tokens: usize) -> impl Strategy<Value = Visibility> {
    prop_oneof![
        Just(Visibility::all(queries, tokens)),
        Just(Visibility::all(queries, tokens).causal()),
        (1..=tokens).prop_filter_map("valid by construction", move |window| {
            Visibility::all(queries, tokens).causal().sliding_window(window).ok()
        }),
        (vec(any::<bool>(), queries * tokens), option::of(0..queries)).prop_map(move |(seen, blind)| {
            Visibility::from_mask(Array2::from_shape_fn((queries, tokens), |(i, j)| {
                seen[i * tokens + j] && blind != Some(i)
            }))
        }),
    ]
}

fn awkward(head: Head, edge: Edge) -> Option<Head> {
    let (query, key, value) = (head.query().clone(), head.key().clone(), head.value().clone());
    let first = |rows: &Array2<f64>| Array2::from_shape_fn(rows.dim(), |(_, c)| rows[[0, c]]);
    let (query, key, value) = match edge {
        Edge::Plain => (query, key, value),
        Edge::EqualKeys => (query, first(&key), value),
        Edge::ZeroKeys => (query, key * 0.0, value),
        Edge::ZeroValues => (query, key, value * 0.0),
        Edge::Ties => (query, first(&key), first(&value)),
        Edge::ValueOffset(offset) => (query, key, value + offset),
        Edge::LargestLogit(size) => {
            let logits = query.dot(&key.t()) * head.scale();
            let largest = logits.iter().fold(f64::MIN_POSITIVE, |largest, z| z.abs().max(largest));
            (query * (size / largest), key, value)
        }
    };
    Head::from_parts(query, key, value, head.spec().clone()).ok()
}
