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
use crate::Pooling;

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
