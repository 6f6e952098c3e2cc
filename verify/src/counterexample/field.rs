//! The scores of the field on a head of a few tokens, the head a group of its own: windows as short as the problem, W_O the
//! identity, queries and keys taken as rotated.

use ndarray::{Array1, Array2};
use obcache_scores::field::{
    CurKind, ExpectedAttention, KvGroup, LagKv, Missing, caote, critical_kv, cur, fast_caote, key_diff, knorm,
    leverage, max_weight, non_causal_attention, observed_attention, r_kv, snapkv, tova,
};
use obcache_scores::{Pooling, Rope, accumulate};
use obd_core::{Head, QueryWindow};
use reference_attention::attend;

/// A score by its name, in words, and as a function.
type Definition = (&'static str, &'static str, fn(&KvGroup) -> Result<Array1<f64>, Missing>);

const DEFINITIONS: [Definition; 15] = [
    (
        "observed-attention",
        "the summed weights over the number of queries that see the token",
        |group| Ok(observed_attention(group)),
    ),
    ("max-weight", "the largest weight", |group| {
        Ok(max_weight(group, QueryWindow::All))
    }),
    (
        "caote",
        "a / (1 - a) · ‖v - o‖, a the summed weights over their sum, o = sum of a v",
        |group| caote(group, &weight(group)),
    ),
    (
        "fast-caote",
        "a / (1 - a) · ‖v - m‖, a the summed weights over their sum, m the mean of the values",
        |group| fast_caote(group, &weight(group)),
    ),
    (
        "r-kv",
        "a tenth of the summed weights less nine tenths of the key's redundancy among the keys",
        |group| r_kv(group, &weight(group), 0.1, 0.5),
    ),
    ("knorm", "less the length of the key", |group| Ok(knorm(group))),
    (
        "key-diff",
        "less the cosine of the key and the mean direction of the keys",
        |group| Ok(key_diff(group)),
    ),
    (
        "cur",
        "the key's share of the squared key lengths times the value's share, over the sum of these",
        |group| Ok(cur(group, CurKind::Product, None)),
    ),
    (
        "tova",
        "the weight of the last query; the last token is protected",
        |group| Ok(tova(std::slice::from_ref(group))),
    ),
    (
        "snapkv",
        "the weight of the last query, averaged with 2 neighbours on each side, over 5; the last token is protected",
        |group| Ok(snapkv(group, 1, Pooling::Average { radius: 2 })),
    ),
    (
        "critical-kv",
        "the summed weights plus 1e-4, times the sum of |v|: W_O is the identity",
        |group| critical_kv(&projected(group)?, &weight(group), 0, 1e-4),
    ),
    (
        "leverage",
        "the leverage of the key among the keys less their mean, positions not encoded",
        |group| leverage(group.key()).map_err(|_| Missing::Base),
    ),
    (
        "lag-kv",
        "half the shares, by softmax, that its key and its value have in the spread over channels of their pair of tokens, each channel over its range in the \
         next pair; the last pair is protected",
        |group| Ok(LagKv { sinks: 0, lag: 2 }.saliency(group)),
    ),
    (
        "non-causal",
        "the summed weights of all queries on all tokens times the length of v, averaged with both neighbours, over 3",
        |group| non_causal_attention(group, group.kv_len()),
    ),
    (
        "expected-attention",
        "the weight expected of queries like these over the next 4 positions, rotary base 10000, times the length of v",
        expected_attention,
    ),
];

fn weight(group: &KvGroup) -> Array1<f64> {
    let (_, trace) = &group.heads()[0];
    accumulate(&trace.weights, QueryWindow::All)
}

fn expected_attention(group: &KvGroup) -> Result<Array1<f64>, Missing> {
    let rope = Rope::new(10_000.0, group.key().ncols()).map_err(|_| Missing::Rope)?;
    let rotated = group.clone().with_rope(rope).map_err(|_| Missing::Rope)?;
    let expected = ExpectedAttention {
        sinks: 0,
        future_positions: 4,
        covariance: true,
        value_norm: Some(0.0),
    };
    expected.saliency(&rotated)
}

/// The group with the identity for an output projection.
fn projected(group: &KvGroup) -> Result<KvGroup, Missing> {
    let identity = Array2::eye(group.value().ncols());
    let projected = group.clone().with_projections(vec![identity]);
    projected.map_err(|_| Missing::OutputProjection)
}

/// Names of the scores.
pub(super) fn names() -> impl Iterator<Item = String> {
    DEFINITIONS.iter().map(|definition| definition.0.to_owned())
}

/// The score in words, where it is one of these.
pub(super) fn words(name: &str) -> Option<&'static str> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.0 == name)
        .map(|definition| definition.1)
}

/// Saliency of every token, shape (kv_len), where the score is one of these and the head has it.
pub(super) fn saliency(name: &str, head: &Head) -> Option<Array1<f64>> {
    let (.., of) = DEFINITIONS.iter().find(|definition| definition.0 == name)?;
    let group = KvGroup::new(vec![(head.clone(), attend(head))]).ok()?;
    of(&group).ok()
}
