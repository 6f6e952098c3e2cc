//! The whole field on one footing: what each score's eviction costs a KV head on future queries.
//!
//! A score sees the queries before a position and evicts tokens of one KV head for all query heads that read it; the error is
//! the exact one of the set, summed over these heads and the queries from there on.

use std::collections::HashMap;

use capture::Capture;
use ndarray::{Array1, s};
use obcache_scores::exact::set;
use obcache_scores::field::{
    CurKind, ExpectedAttention, KvGroup, LagKv, Missing, caote, critical_kv, cur, fast_caote, key_diff, knorm,
    leverage, max_weight, non_causal_attention, non_causal_attention_of_kvpress, observed_attention, r_kv, snapkv,
    tova,
};
use obcache_scores::field::{Rope, streaming_llm};
use obcache_scores::select::{Budget, Protection, evicted, select};
use obcache_scores::{Score, SelectionError, accumulate};
use obd_core::{AttentionTrace, GroupReduction, Head, Pooling, QueryWindow};
use reference_attention::oracle;

use super::error::MeasureError;
use super::grid::FIELD_BUDGETS;
use super::rows::FieldRegret;
use super::split::{attended, past};
use crate::names::FieldScore;

/// Queries of SnapKV's window here, as short as the other windows of the report; its own default is 64 for prompts of thousands.
const VOTERS: usize = 32;

/// SnapKV's window.
const VOTED: QueryWindow = QueryWindow::Last(VOTERS);

/// Sinks of the methods that keep some.
const SINKS: usize = 4;

/// Which KV head of which capture.
struct KvHead {
    capture: String,
    layer: usize,
    kv_head: usize,
}

/// What one KV head's past holds, and what of the scores needs no budget.
struct Past<'a> {
    layer: &'a [KvGroup],
    group: &'a KvGroup,
    /// Every score over all queries and over the last ones, mean over the group.
    sums: HashMap<(Score, QueryWindow), Array1<f64>>,
}

/// A score, and its saliencies or why there are none.
type Ranked = (FieldScore, Result<Array1<f64>, Missing>);

/// One layer of a capture, all its KV heads: one row a score and budget, and one without budget for each score that the
/// capture lacks something for. Empty where the split leaves no past or no future.
pub(super) fn rows(capture: &Capture, position: usize, future_from: f64) -> Result<Vec<FieldRegret>, MeasureError> {
    let groups = capture.groups();
    let (mut layer, mut whole, mut future) = (Vec::new(), Vec::new(), 0);
    for kv_head in 0..groups.num_kv_heads() {
        let (mut heads, mut judged) = (Vec::new(), Vec::new());
        for head in groups.query_heads(kv_head) {
            let head = capture.head(position, head)?;
            let Some((before, later)) = past(&head, future_from) else {
                return Ok(Vec::new());
            };
            future = later;
            heads.push(attended(before));
            judged.push(attended(head));
        }
        layer.push(group(capture, position, kv_head, heads)?);
        whole.push(judged);
    }
    let mut rows = Vec::new();
    for (kv_head, (group, judged)) in layer.iter().zip(&whole).enumerate() {
        let place = KvHead {
            capture: capture.name(),
            layer: capture.layers()[position].index,
            kv_head,
        };
        let found = Past::new(&layer, group).regrets(&place, judged, QueryWindow::Last(future));
        rows.extend(found.map_err(|source| MeasureError::Selection {
            capture: place.capture,
            layer: place.layer,
            head: kv_head,
            source,
        })?);
    }
    Ok(rows)
}

/// The past of one KV head with what the capture knows of the layer.
fn group(
    capture: &Capture,
    position: usize,
    kv_head: usize,
    heads: Vec<(Head, AttentionTrace)>,
) -> Result<KvGroup, MeasureError> {
    let mut group = KvGroup::new(heads)?;
    let metadata = capture.metadata();
    if let Some(theta) = metadata.rope_theta {
        group = group.with_rope(Rope::new(theta, metadata.head_dim)?)?;
    }
    if let Some(o_proj) = &capture.layers()[position].o_proj {
        let width = metadata.value_dim;
        let columns = |head: usize| o_proj.slice(s![.., head * width..(head + 1) * width]).to_owned();
        group = group.with_projections(capture.groups().query_heads(kv_head).map(columns).collect())?;
    }
    Ok(group)
}

impl<'a> Past<'a> {
    fn new(layer: &'a [KvGroup], group: &'a KvGroup) -> Self {
        let mut sums = HashMap::new();
        for score in Score::ALL {
            let heads = group.heads().iter();
            let contributions: Vec<_> = heads.map(|(head, trace)| score.contributions(head, trace)).collect();
            for window in [QueryWindow::All, VOTED] {
                let heads: Vec<_> = contributions.iter().map(|pairs| accumulate(pairs, window)).collect();
                let mean = GroupReduction::Mean.reduce(&heads);
                sums.insert(
                    (score, window),
                    mean.expect("a group has heads, all over the same tokens"),
                );
            }
        }
        Self { layer, group, sums }
    }

    /// A score over all queries or over the last ones.
    fn sum(&self, score: Score, window: QueryWindow) -> &Array1<f64> {
        let sum = self.sums.get(&(score, window));
        sum.expect("every score is summed over both windows")
    }

    /// Every score whatever the budget.
    fn rankings(&self) -> Vec<Ranked> {
        let mut rankings: Vec<Ranked> = Vec::new();
        for window in [QueryWindow::All, VOTED] {
            let sum = |score| (FieldScore::Summed(score, window), Ok(self.sum(score, window).clone()));
            rankings.extend(Score::ALL.map(sum));
        }
        let group = self.group;
        let votes = snapkv(group, VOTERS, Pooling::Average { radius: 2 });
        let expected = |covariance| ExpectedAttention {
            sinks: SINKS,
            future_positions: 512,
            covariance,
            value_norm: Some(0.0),
        };
        let lag = LagKv { sinks: SINKS, lag: 32 };
        let leverage = group
            .key_before_rope()
            .and_then(|key| leverage(&key).map_err(|_| Missing::Base));
        let weight = |window| self.sum(Score::Weight, window);
        rankings.extend([
            (FieldScore::ObservedAttention, Ok(observed_attention(group))),
            (FieldScore::TovaOfLayer, Ok(tova(self.layer))),
            (FieldScore::SnapKvAveragePool, Ok(votes.clone())),
            (
                FieldScore::SnapKvMaxPool,
                Ok(snapkv(group, VOTERS, Pooling::Max { radius: 3 })),
            ),
            (
                FieldScore::MaxWeight(QueryWindow::All),
                Ok(max_weight(group, QueryWindow::All)),
            ),
            (FieldScore::MaxWeight(VOTED), Ok(max_weight(group, VOTED))),
            (FieldScore::NonCausal, non_causal_attention(group, 256)),
            (
                FieldScore::NonCausalOfKvpress,
                non_causal_attention_of_kvpress(group, 256),
            ),
            (FieldScore::ExpectedAttention, expected(true).saliency(group)),
            (FieldScore::ExpectedAttentionOfMean, expected(false).saliency(group)),
            (
                FieldScore::Caote(QueryWindow::All),
                caote(group, weight(QueryWindow::All)),
            ),
            (FieldScore::Caote(VOTED), caote(group, weight(VOTED))),
            (FieldScore::FastCaote(VOTED), fast_caote(group, weight(VOTED))),
            (FieldScore::RKvOverSnapKv, r_kv(group, &votes, 0.1, 0.5)),
            (FieldScore::KNorm, Ok(knorm(group))),
            (FieldScore::KeyDiff, Ok(key_diff(group))),
            (FieldScore::LagKv, Ok(lag.saliency(group))),
            (FieldScore::Cur, Ok(cur(group, CurKind::Product, Some(16)))),
            (FieldScore::Leverage, leverage),
            (FieldScore::StreamingLlm, Ok(streaming_llm(group.kv_len(), SINKS))),
        ]);
        rankings
    }

    /// The scores that depend on the tokens kept.
    fn rankings_at(&self, kept: usize) -> [Ranked; 2] {
        let votes = snapkv(self.group, VOTERS, Pooling::Average { radius: 2 });
        let over = |base: &Array1<f64>| critical_kv(self.group, base, kept / 2, 1e-4);
        [
            (FieldScore::CriticalKvOverSnapKv, over(&votes)),
            (
                FieldScore::CriticalKvOverWeight(VOTED),
                over(self.sum(Score::Weight, VOTED)),
            ),
        ]
    }

    /// One row a score and budget on the KV head `place`.
    fn regrets(
        &self,
        place: &KvHead,
        judged: &[(Head, AttentionTrace)],
        window: QueryWindow,
    ) -> Result<Vec<FieldRegret>, SelectionError> {
        let tokens = self.group.kv_len();
        let size: f64 = judged
            .iter()
            .map(|(_, trace)| oracle::error(&trace.output, window))
            .sum();
        let error = |saliency: &Array1<f64>, kept: usize| {
            let kept = select(saliency, Budget::Tokens(kept), Protection::default())?;
            let evicted = evicted(tokens, &kept);
            let errors = judged
                .iter()
                .map(|(head, trace)| set::removal_error(head, trace, &evicted, window));
            Ok(errors.sum::<f64>())
        };
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        let everywhere = self.rankings();
        let exact = self.sum(Score::Removal, QueryWindow::All);
        for budget in &FIELD_BUDGETS {
            let kept = Budget::Fraction(*budget).tokens(tokens)?;
            let by_oracle = error(exact, kept)?;
            for (score, saliency) in everywhere.iter().chain(&self.rankings_at(kept)) {
                let row = |absent, error: Option<f64>| FieldRegret {
                    capture: place.capture.clone(),
                    layer: place.layer,
                    kv_head: place.kv_head,
                    score: *score,
                    budget: error.map(|_| *budget),
                    relative_error: error.filter(|_| size > 0.0).map(|error| error / size),
                    over_oracle: error.filter(|_| by_oracle > 0.0).map(|error| error / by_oracle),
                    absent,
                };
                match saliency {
                    Ok(saliency) => rows.push(row(None, Some(error(saliency, kept)?))),
                    Err(reason) if !missing.contains(score) => {
                        missing.push(*score);
                        rows.push(row(Some(reason.to_string()), None));
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn heads(tokens: usize) -> Vec<(Head, AttentionTrace)> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut rows = |channels| Array2::from_shape_simple_fn((tokens, channels), || random.random_range(-2.0..2.0));
        let (key, value) = (rows(4), rows(3));
        (0..2)
            .map(|_| attended(Head::new(rows(4), key.clone(), value.clone()).unwrap()))
            .collect()
    }

    /// A score's name without what it is told: `snapkv, max pool` and `caote over weight` are SnapKV and CAOTE.
    fn base(name: &str) -> String {
        let name = name.split_once(',').map_or(name, |(name, _)| name);
        name.split_once(" over ").map_or(name, |(name, _)| name).to_owned()
    }

    #[test]
    fn every_score_of_the_report_has_a_page_of_the_book() {
        let layer = [KvGroup::new(heads(40)).unwrap()];
        let past = Past::new(&layer, &layer[0]);
        let rankings = past.rankings().into_iter().chain(past.rankings_at(8));
        let scores: BTreeSet<String> = rankings.map(|(score, _)| base(&score.to_string())).collect();
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scores");
        let pages = std::fs::read_dir(book).unwrap().map(|page| page.unwrap().path());
        let written = pages.map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned());
        assert_eq!(scores, written.collect());
    }

    #[test]
    fn what_a_capture_lacks_is_told_once_and_the_oracle_is_one() {
        let layer = [KvGroup::new(heads(40)).unwrap()];
        let place = KvHead {
            capture: "a".to_owned(),
            layer: 3,
            kv_head: 1,
        };
        let past = Past::new(&layer, &layer[0]);
        let rows = past.regrets(&place, &heads(40), QueryWindow::Last(8)).unwrap();
        assert!(rows.iter().all(|row| (row.layer, row.kv_head) == (3, 1)));
        let absent: Vec<(String, &str)> = rows
            .iter()
            .filter_map(|row| Some((row.score.to_string(), row.absent.as_deref()?)))
            .collect();
        let (rope, o_proj) = (
            "needs the rotary encoding (rope_theta)",
            "needs the output projection W_O",
        );
        let expected = [
            ("expected-attention", rope),
            ("expected-attention, mean only", rope),
            ("leverage", rope),
            ("critical-kv over snapkv", o_proj),
            ("critical-kv over weight, last-32", o_proj),
        ];
        assert_eq!(absent, expected.map(|(score, reason)| (score.to_owned(), reason)));
        let oracle = FieldScore::Summed(Score::Removal, QueryWindow::All);
        let oracle: Vec<_> = rows.iter().filter(|row| row.score == oracle).collect();
        assert_eq!(oracle[0].score.to_string(), "removal, all");
        assert_eq!(oracle.len(), FIELD_BUDGETS.len());
        assert!(oracle.iter().all(|row| row.over_oracle == Some(1.0)));
        assert!(rows.iter().all(|row| row.absent.is_some() == row.budget.is_none()));
    }
}
