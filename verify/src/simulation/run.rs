//! Every KV head of a capture under every ranking.

use capture::{Capture, CaptureError};
use indicatif::ProgressBar;
use obcache_scores::{SelectionError, accumulate};
use obd_core::{AttentionTrace, Head, ProblemError, QueryWindow};
use rayon::prelude::*;
use reference_attention::attend;
use thiserror::Error;

use super::cache::Cache;
use super::ranking::Ranking;
use crate::allocation::Place;
use crate::measure::protection;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Tokens that the cache keeps, as a fraction of those of the prefill.
    pub budget: f64,
    /// Tokens of the prefill, as a fraction of all.
    pub prefill: f64,
    /// Decode steps from one eviction to the next; in between the cache grows.
    pub every: usize,
    /// Name of the protection, one of [`crate::measure::PROTECTIONS`].
    pub protection: String,
}

/// One decode step of one KV head under one ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which KV head.
    pub place: Place,
    /// What decided who dies.
    pub ranking: Ranking,
    /// Decode step, from 0 on.
    pub step: usize,
    /// Tokens in the cache that the query saw.
    pub cached: usize,
    /// Squared change of the output against the full cache, over its squared norm, query heads summed.
    pub error: f64,
}

/// When one token of one KV head died under one ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// Which KV head.
    pub place: Place,
    /// What decided who dies.
    pub ranking: Ranking,
    /// Position of the token.
    pub token: usize,
    /// Decode step after which it was evicted, 0 for the eviction after the prefill; `None` where it survived.
    pub died: Option<usize>,
}

/// All that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Tokens of the prefill.
    pub prefill: usize,
    /// Tokens of the capture.
    pub tokens: usize,
    /// Decode steps.
    pub steps: Vec<Step>,
    /// Lives of all tokens.
    pub lives: Vec<Life>,
}

/// Why nothing can be simulated.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// A head cannot be built.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A part of a head is no problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// A score cannot be ranked.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// Not as many queries as tokens, so that it is not known what the prefill asked.
    #[error("{queries} queries for {tokens} tokens, expected one a token")]
    Queries {
        /// Queries of the capture.
        queries: usize,
        /// Tokens of the capture.
        tokens: usize,
    },
    /// A prefill of no token, or one that leaves no step.
    #[error("a prefill of {prefill} of {tokens} tokens, expected at least 1 and fewer than all")]
    Prefill {
        /// Tokens of the prefill.
        prefill: usize,
        /// Tokens of the capture.
        tokens: usize,
    },
    /// A cache of no token.
    #[error("a budget of {budget} of {prefill} tokens keeps none, expected at least one")]
    Empty {
        /// Fraction kept.
        budget: f64,
        /// Tokens of the prefill.
        prefill: usize,
    },
}

/// Simulates every KV head of `capture` under every ranking; `progress` advances once a KV head.
///
/// The query heads of a KV head share its cache: their scores are summed. The same capture and options give the same
/// result, whatever the number of threads.
///
/// # Errors
/// [`SimulationError`] where the capture has not one query a token, a fraction leaves no prefill, no step or no cache, or a
/// head is no problem.
pub fn run(capture: &Capture, options: &Options, progress: &ProgressBar) -> Result<Simulation, SimulationError> {
    let layers = capture.layers();
    let tokens = layers[0].key.shape()[1];
    let queries = layers[0].query.shape()[1];
    if queries != tokens {
        return Err(SimulationError::Queries { queries, tokens });
    }
    let prefill = (options.prefill * tokens as f64) as usize;
    if prefill == 0 || prefill >= tokens {
        return Err(SimulationError::Prefill { prefill, tokens });
    }
    let capacity = (options.budget * prefill as f64) as usize;
    if capacity == 0 {
        let budget = options.budget;
        return Err(SimulationError::Empty { budget, prefill });
    }
    let kv_heads = 0..capture.groups().num_kv_heads();
    let places: Vec<(usize, usize)> = (0..layers.len())
        .flat_map(|position| kv_heads.clone().map(move |kv_head| (position, kv_head)))
        .collect();
    progress.set_length(places.len() as u64);
    let found: Vec<(Vec<Step>, Vec<Life>)> = places
        .par_iter()
        .map(|&(position, kv_head)| {
            let heads = capture.groups().query_heads(kv_head);
            let group: Vec<Head> = heads
                .map(|head| capture.head(position, head))
                .collect::<Result<_, _>>()?;
            let served = Served {
                place: Place {
                    layer: layers[position].index,
                    kv_head,
                },
                full: group.iter().map(attend).collect(),
                group,
                prefill,
                capacity,
            };
            let found = served.all(options)?;
            progress.inc(1);
            Ok(found)
        })
        .collect::<Result<_, SimulationError>>()?;
    let (steps, lives): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok(Simulation {
        prefill,
        tokens,
        steps: steps.concat(),
        lives: lives.concat(),
    })
}

/// One KV head, its query heads, and what they put out with the full cache.
struct Served {
    place: Place,
    group: Vec<Head>,
    full: Vec<AttentionTrace>,
    prefill: usize,
    capacity: usize,
}

impl Served {
    fn all(&self, options: &Options) -> Result<(Vec<Step>, Vec<Life>), SimulationError> {
        let (mut steps, mut lives) = (Vec::new(), Vec::new());
        for ranking in Ranking::ALL {
            let (taken, lived) = self.decode(ranking, options)?;
            steps.extend(taken);
            lives.extend(lived);
        }
        Ok((steps, lives))
    }

    fn decode(&self, ranking: Ranking, options: &Options) -> Result<(Vec<Step>, Vec<Life>), SimulationError> {
        let tokens = self.group[0].kv_len();
        let mut died = vec![None; tokens];
        let protection = protection(&options.protection, self.capacity);
        let mut cache = Cache::new(ranking, self.capacity, protection, self.prefilled(ranking));
        for token in cache.evict()? {
            died[token] = Some(0);
        }
        let mut steps = Vec::new();
        for (step, token) in (self.prefill..tokens).enumerate() {
            cache.join(token);
            let seen = cache.attend(&self.group, token)?;
            steps.push(Step {
                place: self.place,
                ranking,
                step,
                cached: cache.tokens.len(),
                error: self.error(&seen, token),
            });
            cache.score(&seen);
            if (step + 1) % options.every == 0 {
                for dead in cache.evict()? {
                    died[dead] = Some(step + 1);
                }
            }
        }
        let life = |(token, died)| Life {
            place: self.place,
            ranking,
            token,
            died,
        };
        Ok((steps, died.into_iter().enumerate().map(life).collect()))
    }

    /// Scores of the prefill's tokens over its queries, summed over the query heads.
    fn prefilled(&self, ranking: Ranking) -> Vec<f64> {
        let mut sums = vec![0.0; self.prefill];
        let Ranking::Score(score) = ranking else { return sums };
        for head in self.group.iter().filter_map(|head| head.prefix(self.prefill)) {
            let contributions = score.contributions(&head, &attend(&head));
            for (sum, saliency) in sums.iter_mut().zip(accumulate(&contributions, QueryWindow::All)) {
                *sum += saliency;
            }
        }
        sums
    }

    /// Squared change of the output of query `token`, over its squared norm.
    fn error(&self, seen: &[(Head, AttentionTrace)], token: usize) -> f64 {
        let (mut change, mut size) = (0.0, 0.0);
        for ((_, now), full) in seen.iter().zip(&self.full) {
            for (now, full) in now.output.row(0).iter().zip(full.output.row(token)) {
                change += (now - full).powi(2);
                size += full * full;
            }
        }
        if size > 0.0 { change / size } else { 0.0 }
    }
}
