//! The scores of the field on a head of a few tokens, the head a group of its own: windows as short as the problem, W_O the
//! identity, queries and keys taken as rotated.

use ndarray::{Array1, Array2};
use obcache_scores::accumulate;
use obcache_scores::field::Rope;
use obcache_scores::field::{
    CurKind, ExpectedAttention, KvGroup, LagKv, Missing, caote, critical_kv, cur, fast_caote, key_diff, knorm,
    leverage, max_weight, non_causal_attention, observed_attention, r_kv, snapkv, tova,
};
use obd_core::{Head, Pooling, QueryWindow};
use reference_attention::attend;

/// A score of the field.
pub struct FieldDefinition {
    /// The name on the command line.
    pub(super) name: &'static str,
    /// What it is, in words.
    pub(super) words: &'static str,
    of: fn(&KvGroup) -> Result<Array1<f64>, Missing>,
}

const fn score(
    name: &'static str,
    words: &'static str,
    of: fn(&KvGroup) -> Result<Array1<f64>, Missing>,
) -> FieldDefinition {
    FieldDefinition { name, words, of }
}

/// The scores of the field that a few tokens have.
pub(super) static DEFINITIONS: [FieldDefinition; 15] = [
    score(
        "observed-attention",
        "the summed weights over the number of queries that see the token",
        |group| Ok(observed_attention(group)),
    ),
    score("max-weight", "the largest weight", |group| {
        Ok(max_weight(group, QueryWindow::All))
    }),
    score(
        "caote",
        "a / (1 - a) · ‖v - o‖, a the summed weights over their sum, o = sum of a v",
        |group| caote(group, &weight(group)),
    ),
    score(
        "fast-caote",
        "a / (1 - a) · ‖v - m‖, a the summed weights over their sum, m the mean of the values",
        |group| fast_caote(group, &weight(group)),
    ),
    score(
        "r-kv",
        "a tenth of the summed weights less nine tenths of the key's redundancy among the keys",
        |group| r_kv(group, &weight(group), 0.1, 0.5),
    ),
    score("knorm", "less the length of the key", |group| Ok(knorm(group))),
    score(
        "key-diff",
        "less the cosine of the key and the mean direction of the keys",
        |group| Ok(key_diff(group)),
    ),
    score(
        "cur",
        "the key's share of the squared key lengths times the value's share, over the sum of these",
        |group| Ok(cur(group, CurKind::Product, None)),
    ),
    score(
        "tova",
        "the weight of the last query; the last token is protected",
        |group| Ok(tova(std::slice::from_ref(group))),
    ),
    score(
        "snapkv",
        "the weight of the last query, averaged with 2 neighbours on each side, over 5; the last token is protected",
        |group| Ok(snapkv(group, 1, Pooling::Average { radius: 2 })),
    ),
    score(
        "critical-kv",
        "the summed weights plus 1e-4, times the sum of |v|: W_O is the identity",
        |group| critical_kv(&projected(group)?, &weight(group), 0, 1e-4),
    ),
    score(
        "leverage",
        "the leverage of the key among the keys less their mean, positions not encoded",
        |group| leverage(group.key()).map_err(|_| Missing::Base),
    ),
    score(
        "lag-kv",
        "half the shares, by softmax, that its key and its value have in the spread over channels of their pair of tokens, each channel over its range in the \
         next pair; the last pair is protected",
        |group| Ok(LagKv { sinks: 0, lag: 2 }.saliency(group)),
    ),
    score(
        "non-causal",
        "the summed weights of all queries on all tokens times the length of v, averaged with both neighbours, over 3",
        |group| non_causal_attention(group, group.kv_len()),
    ),
    score(
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

impl FieldDefinition {
    /// Saliency of every token, shape (kv_len); `None` where the head is too small for the score.
    pub(super) fn saliency(&self, head: &Head) -> Option<Array1<f64>> {
        let group = KvGroup::new(vec![(head.clone(), attend(head))]).ok()?;
        (self.of)(&group).ok()
    }
}
