//! The scores of the field that a head of a few tokens has, the head a group of its own.

use ndarray::Array1;
use obcache_scores::accumulate;
use obcache_scores::field::{
    CurKind, KvGroup, Missing, caote, cur, fast_caote, key_diff, knorm, max_weight, observed_attention, r_kv,
};
use obd_core::{Head, QueryWindow};
use reference_attention::attend;

/// A score by its name, in words, and as a function.
type Definition = (&'static str, &'static str, fn(&KvGroup) -> Result<Array1<f64>, Missing>);

const DEFINITIONS: [Definition; 8] = [
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
];

fn weight(group: &KvGroup) -> Array1<f64> {
    let (_, trace) = &group.heads()[0];
    accumulate(&trace.weights, QueryWindow::All)
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
