//! The scores as NVIDIA's kvpress writes them, number for number: one row per KV head of a layer.
//!
//! What kvpress adds to the methods: protected tokens get a finite score, mostly the largest of the whole layer plus 1; its
//! `compression_ratio` is the fraction *removed*; some statistics run over the layer instead of the head. Names and arguments
//! are kvpress's, so that a constructor call reads the same here.

use ndarray::{Array1, Array2};

use super::{
    CurKind, ExpectedAttention, KvGroup, LagKv, Missing, critical_kv, cur, key_diff, knorm,
    non_causal_attention_of_kvpress, observed_attention, snapkv, tova,
};
use obd_core::Pooling;

/// A press: a score with the arguments of its constructor.
#[derive(Debug, Clone, PartialEq)]
pub enum Press {
    /// `ObservedAttentionPress`.
    ObservedAttention,
    /// `SnapKVPress`, and `PyramidKVPress`, which scores alike and differs in its budgets.
    SnapKv {
        /// Queries that vote.
        window_size: usize,
        /// Tokens that are averaged, an odd number.
        kernel_size: usize,
    },
    /// `TOVAPress`.
    Tova,
    /// `KnormPress`.
    Knorm,
    /// `KeyDiffPress`.
    KeyDiff,
    /// `StreamingLLMPress`: 1 for what is kept, 0 for the others.
    StreamingLlm {
        /// Fraction removed.
        compression_ratio: f64,
        /// First tokens, kept.
        n_sink: usize,
    },
    /// `LagKVPress`.
    LagKv {
        /// First tokens, kept.
        n_sink: usize,
        /// Tokens of a partition.
        lag_size: usize,
        /// Scores instead of ranks within the partition.
        cross_scoring: bool,
    },
    /// `CURPress` without its random projection.
    Cur {
        /// First tokens, scored 1.
        num_sinks: usize,
        /// Whose norms.
        leverage_type: CurKind,
        /// Tokens of a local window; `None` without local approximation.
        local_window_size: Option<usize>,
    },
    /// `ExpectedAttentionPress`.
    ExpectedAttention(ExpectedAttention),
    /// `CriticalKVPress`.
    CriticalKv {
        /// The base score.
        press: Box<Press>,
        /// Fraction removed, that of the base.
        compression_ratio: f64,
        /// Added to the base score.
        epsilon: f64,
        /// Part of the budget that the base score decides on.
        first_stage_ratio: f64,
    },
    /// `NonCausalAttnPress`.
    NonCausalAttn {
        /// Tokens that attend to each other.
        chunk_size: usize,
    },
}

impl Press {
    /// Scores of a layer, shape (num_kv_heads, kv_len).
    ///
    /// Where a protected token is scored `f64::MAX`, as CriticalKV does, and scores tie at the cut, the newest are taken;
    /// kvpress leaves that choice to its library.
    ///
    /// # Errors
    /// [`Missing`] where the layer lacks what the press needs, or kvpress itself refuses the arguments.
    pub fn score(&self, layer: &[KvGroup]) -> Result<Array2<f64>, Missing> {
        match self {
            Self::ObservedAttention => each(layer, |group| Ok(observed_attention(group))),
            Self::Knorm => each(layer, |group| Ok(knorm(group))),
            Self::KeyDiff => each(layer, |group| Ok(key_diff(group))),
            Self::Tova => each(layer, |_| Ok(tova(layer))).map(largest_plus_one),
            &Self::SnapKv {
                window_size,
                kernel_size,
            } => {
                let pooling = average(kernel_size)?;
                let row = |group: &KvGroup| {
                    more_tokens_than(window_size, group)?;
                    Ok(snapkv(group, window_size, pooling))
                };
                each(layer, row).map(largest_plus_one)
            }
            &Self::StreamingLlm {
                compression_ratio,
                n_sink,
            } => each(layer, |group| streaming(group, compression_ratio, n_sink)),
            &Self::LagKv {
                n_sink,
                lag_size,
                cross_scoring,
            } => each(layer, |group| {
                lag(
                    group,
                    LagKv {
                        sinks: n_sink,
                        lag: lag_size,
                    },
                    cross_scoring,
                )
            }),
            &Self::Cur {
                num_sinks,
                leverage_type,
                local_window_size,
            } => each(layer, |group| {
                let mut saliency = cur(group, leverage_type, local_window_size);
                saliency.iter_mut().take(num_sinks).for_each(|sink| *sink = 1.0);
                Ok(saliency)
            }),
            Self::ExpectedAttention(expected) => each(layer, |group| {
                more_tokens_than(expected.sinks, group)?;
                expected.saliency(group)
            })
            .map(largest_plus_one),
            Self::CriticalKv {
                press,
                compression_ratio,
                epsilon,
                first_stage_ratio,
            } => {
                let mut base = press.score(layer)?.into_iter();
                each(layer, |group| {
                    let base: Array1<f64> = base.by_ref().take(group.kv_len()).collect();
                    let first = first_stage(base.len(), *compression_ratio, *first_stage_ratio);
                    let saliency = critical_kv(group, &base, first, *epsilon)?;
                    Ok(saliency.mapv(|saliency| saliency.min(f64::MAX)))
                })
            }
            &Self::NonCausalAttn { chunk_size } => {
                let scores = each(layer, |group| non_causal_attention_of_kvpress(group, chunk_size))?;
                Ok(standardised(scores))
            }
        }
    }
}

fn each(
    layer: &[KvGroup],
    mut row: impl FnMut(&KvGroup) -> Result<Array1<f64>, Missing>,
) -> Result<Array2<f64>, Missing> {
    // A layer of no group has no tokens.
    let tokens = layer.first().map_or(0, KvGroup::kv_len);
    let mut scores = Array2::zeros((layer.len(), tokens));
    for (group, mut scores) in layer.iter().zip(scores.rows_mut()) {
        let row = row(group)?;
        if row.len() != tokens {
            return Err(Missing::Base);
        }
        scores.assign(&row);
    }
    Ok(scores)
}

/// Protected tokens get the largest score of the layer plus 1.
fn largest_plus_one(scores: Array2<f64>) -> Array2<f64> {
    let open = scores.iter().filter(|score| score.is_finite());
    let largest = open.fold(f64::NEG_INFINITY, |largest: f64, &score| largest.max(score));
    scores.mapv(|score| if score == f64::INFINITY { largest + 1.0 } else { score })
}

/// kvpress averages with padding of half the kernel, which keeps the length for odd kernels only.
fn average(kernel_size: usize) -> Result<Pooling, Missing> {
    if kernel_size.is_multiple_of(2) {
        return Err(Missing::Argument {
            argument: "kernel_size",
            found: kernel_size,
            expected: "an odd number",
        });
    }
    Ok(Pooling::Average {
        radius: kernel_size / 2,
    })
}

fn more_tokens_than(count: usize, group: &KvGroup) -> Result<(), Missing> {
    if group.kv_len() > count {
        return Ok(());
    }
    Err(Missing::Tokens {
        found: group.kv_len(),
        expected: count.saturating_add(1),
    })
}

fn streaming(group: &KvGroup, compression_ratio: f64, n_sink: usize) -> Result<Array1<f64>, Missing> {
    more_tokens_than(n_sink, group)?;
    let tokens = group.kv_len();
    let removed = tokens - ((tokens as f64 * (1.0 - compression_ratio)) as usize).min(tokens);
    let middle = n_sink..n_sink.saturating_add(removed);
    Ok(Array1::from_shape_fn(tokens, |token| {
        if middle.contains(&token) { 0.0 } else { 1.0 }
    }))
}

/// Protected tokens are scored 1; a cache too short for two partitions by recency.
fn lag(group: &KvGroup, lag: LagKv, cross_scoring: bool) -> Result<Array1<f64>, Missing> {
    if lag.lag == 0 {
        return Err(Missing::Argument {
            argument: "lag_size",
            found: 0,
            expected: "at least 1",
        });
    }
    let (tokens, sinks) = (group.kv_len(), lag.sinks);
    if tokens < sinks.saturating_add(lag.lag.saturating_mul(2)) {
        let recency = |token: usize| (token - sinks) as f64 / (tokens - sinks) as f64;
        let score = |token: usize| if token < sinks { 1.0 } else { in_32_bits(recency(token)) };
        return Ok(Array1::from_shape_fn(tokens, score));
    }
    let saliency = if cross_scoring {
        lag.saliency(group)
    } else {
        lag.ranks(group).mapv(in_32_bits)
    };
    Ok(saliency.mapv(|saliency| saliency.min(1.0)))
}

/// A quotient of whole numbers is of 32 bits in PyTorch.
fn in_32_bits(quotient: f64) -> f64 {
    f64::from(quotient as f32)
}

/// Tokens that CriticalKV's base score picks.
fn first_stage(tokens: usize, compression_ratio: f64, first_stage_ratio: f64) -> usize {
    let picks = ((1.0 - compression_ratio) * tokens as f64 * first_stage_ratio) as usize;
    if first_stage_ratio > 0.0 { picks.max(1) } else { picks }
}

/// Less their mean, over their standard deviation (unbiased, at least 1e-6), both over the whole layer.
fn standardised(scores: Array2<f64>) -> Array2<f64> {
    let mean = scores.sum() / scores.len().max(1) as f64;
    let centred = scores - mean;
    let variance = centred.iter().map(|x| x * x).sum::<f64>() / (centred.len().max(2) - 1) as f64;
    centred / variance.sqrt().max(1e-6)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::Head;

    use super::*;
    use crate::test_heads::trace;

    /// So many tokens with keys 1, 2, ...
    fn group(tokens: usize) -> KvGroup {
        let key = Array2::from_shape_fn((tokens, 1), |(token, _)| token as f64 + 1.0);
        let head = Head::new(array![[0.0]], key, Array2::ones((tokens, 1))).unwrap();
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    const LAG: LagKv = LagKv { sinks: 1, lag: 2 };

    #[test]
    fn every_kv_head_has_a_row() {
        let rows = array![[-1.0, -2.0], [-1.0, -2.0]];
        assert_eq!(Press::Knorm.score(&[group(2), group(2)]), Ok(rows));
        assert_eq!(Press::Knorm.score(&[group(2), group(3)]), Err(Missing::Base));
    }

    #[test]
    fn protected_tokens_get_the_largest_of_the_layer_plus_one() {
        let scores = array![[1.0, f64::INFINITY], [3.0, -5.0]];
        assert_eq!(largest_plus_one(scores), array![[1.0, 4.0], [3.0, -5.0]]);
    }

    #[test]
    fn kernels_are_odd() {
        assert_eq!(average(5), Ok(Pooling::Average { radius: 2 }));
        assert!(average(4).is_err());
    }

    #[test]
    fn a_window_leaves_tokens_to_score() {
        assert_eq!(more_tokens_than(2, &group(3)), Ok(()));
        let refused = |expected| Err(Missing::Tokens { found: 3, expected });
        assert_eq!(more_tokens_than(3, &group(3)), refused(4));
        assert_eq!(more_tokens_than(5, &group(3)), refused(6));
    }

    #[test]
    fn streaming_removes_what_follows_the_sinks() {
        // Of 10 tokens 7 stay, two of them sinks.
        let expected = array![1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(streaming(&group(10), 0.3, 2), Ok(expected));
    }

    #[test]
    fn a_cache_too_short_for_two_partitions_is_ranked_by_age() {
        // One sink, then 0/3, 1/3 and 2/3 in 32 bits.
        let [third, thirds] = [1.0, 2.0].map(|part: f32| f64::from(part / 3.0));
        assert_eq!(lag(&group(4), LAG, false), Ok(array![1.0, 0.0, third, thirds]));
        // Two partitions after the sink: values say nothing, and keys of one channel do not vary, so that age ranks the first.
        assert_eq!(lag(&group(5), LAG, false), Ok(array![1.0, 0.0, 0.5, 1.0, 1.0]));
        assert_eq!(lag(&group(5), LAG, true), Ok(array![1.0, 0.5, 0.5, 1.0, 1.0]));
        assert!(lag(&group(5), LagKv { lag: 0, ..LAG }, false).is_err());
    }

    #[test]
    fn the_first_stage_picks_its_part_of_the_budget() {
        // Of 10 tokens 6 stay, of which the base score picks half.
        assert_eq!(first_stage(10, 0.4, 0.5), 3);
        // One at least, unless it is to pick none.
        assert_eq!((first_stage(10, 1.0, 0.5), first_stage(10, 0.4, 0.0)), (1, 0));
    }

    #[test]
    fn scores_of_a_layer_are_standardised_together() {
        // Mean 3, squares of what is left 4 + 1 + 0 + 9 over 4 - 1.
        let deviation = (14.0f64 / 3.0).sqrt();
        let expected = array![[-2.0, -1.0], [0.0, 3.0]] / deviation;
        assert_relative_eq!(
            standardised(array![[1.0, 2.0], [3.0, 6.0]]),
            expected,
            max_relative = 1e-15
        );
        assert_eq!(standardised(array![[7.0, 7.0]]), array![[0.0, 0.0]]);
    }
}
