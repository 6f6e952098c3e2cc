//! Every KV head of a capture under every ranking.

use capture::{Capture, CaptureError};
use indicatif::ProgressBar;
use obcache_scores::PolicyError;
use obcache_scores::serve::Tracker;
use obd_core::{AttentionTrace, Head, ProblemError};
use rayon::prelude::*;
use reference_attention::attend;
use thiserror::Error;

use super::ranking::Ranking;
use crate::names::Protected;
use crate::place::Place;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Tokens that the cache keeps, as a fraction of those of the prefill.
    pub budget: f64,
    /// Tokens of the prefill, as a fraction of all.
    pub prefill: f64,
    /// Decode steps from one eviction to the next; in between the cache grows.
    pub every: usize,
    /// What is kept whatever a ranking says.
    pub protection: Protected,
}

/// One decode step of one KV head under one ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedStep {
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
    pub steps: Vec<SimulatedStep>,
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
    Policy(#[from] PolicyError),
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
    let found: Vec<(Vec<SimulatedStep>, Vec<Life>)> = places
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
                prompt: prompt(&group, prefill),
                group,
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

/// One KV head, its query heads, what they put out with the full cache, and what they saw of the prefill.
struct Served {
    place: Place,
    group: Vec<Head>,
    full: Vec<AttentionTrace>,
    prompt: Vec<(Head, AttentionTrace)>,
    capacity: usize,
}

/// The first `tokens` tokens of each head, and the queries among them.
fn prompt(group: &[Head], tokens: usize) -> Vec<(Head, AttentionTrace)> {
    let heads = group.iter().map(|head| {
        let prompt = head.prefix(tokens).expect("a query for each of the head's tokens");
        let trace = attend(&prompt);
        (prompt, trace)
    });
    heads.collect()
}

impl Served {
    fn all(&self, options: &Options) -> Result<(Vec<SimulatedStep>, Vec<Life>), SimulationError> {
        let (mut steps, mut lives) = (Vec::new(), Vec::new());
        for ranking in Ranking::ALL {
            let (taken, lived) = self.decode(ranking, options)?;
            steps.extend(taken);
            lives.extend(lived);
        }
        Ok((steps, lives))
    }

    fn decode(&self, ranking: Ranking, options: &Options) -> Result<(Vec<SimulatedStep>, Vec<Life>), SimulationError> {
        let tokens = self.group[0].kv_len();
        let mut died = vec![None; tokens];
        let protection = options.protection.of(self.capacity);
        let policy = ranking.policy(self.capacity, protection, options.every);
        let mut tracker = Tracker::group(policy, self.group.len())?;
        tracker.prefill(&self.prompt)?;
        let mut steps = Vec::new();
        for dead in ranking.evict(&mut tracker)? {
            died[dead] = Some(0);
        }
        for (step, token) in (tracker.seen()..tokens).enumerate() {
            let cached = [tracker.positions(), &[token]].concat();
            let seen = self.seen(token, &cached)?;
            steps.push(SimulatedStep {
                place: self.place,
                ranking,
                step,
                cached: cached.len(),
                error: self.error(&seen, token),
            });
            tracker.step(&seen)?;
            if tracker.due() {
                for dead in ranking.evict(&mut tracker)? {
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

    /// What query `query` of each head of the group sees of `tokens`, as a head of one query with its trace.
    fn seen(&self, query: usize, tokens: &[usize]) -> Result<Vec<(Head, AttentionTrace)>, ProblemError> {
        let heads = self.group.iter().map(|head| {
            let seen = head.select(&[query], tokens)?;
            let trace = attend(&seen);
            Ok((seen, trace))
        });
        heads.collect()
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
        // An output of 0 is that of values of 0, of which those left make 0 too.
        if size > 0.0 { change / size } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use obcache_scores::Score;
    use obd_core::{Softcap, Visibility};

    fn head() -> Head {
        let key = array![[0.0], [2f64.ln()], [5f64.ln()]];
        Head::new(array![[0.0], [1.0], [1.0]], key, array![[8.0], [4.0], [0.0]]).unwrap()
    }

    fn served(head: Head) -> Served {
        Served {
            place: Place { layer: 0, kv_head: 0 },
            full: vec![attend(&head)],
            prompt: prompt(std::slice::from_ref(&head), 2),
            group: vec![head],
            capacity: 2,
        }
    }

    #[test]
    fn a_step_by_hand() {
        let served = served(head());
        // The last query: weights 1/8, 2/8, 5/8, output 2; without the first 2/7 and 5/7, output 8/7.
        for (tokens, output) in [(&[0, 1, 2][..], 2.0), (&[1, 2], 8.0 / 7.0)] {
            let seen = served.seen(2, tokens).unwrap();
            assert!((seen[0].1.output[[0, 0]] - output).abs() < 1e-14);
            let error = served.error(&seen, 2);
            assert!((error - ((output - 2.0) / 2.0).powi(2)).abs() < 1e-14);
        }
        let options = Options {
            budget: 0.5,
            prefill: 0.7,
            every: 1,
            protection: Protected::Nothing,
        };
        let (steps, lives) = served.decode(Ranking::Score(Score::Weight), &options).unwrap();
        assert_eq!(steps.iter().map(|step| step.cached).collect::<Vec<_>>(), [3]);
        // Weights 1, then 1/3 and 2/3, then 1/8, 2/8 and 5/8: the newest has least in all.
        let died: Vec<_> = lives.iter().map(|life| life.died).collect();
        assert_eq!(died, [None, None, Some(1)]);
    }

    #[test]
    fn a_query_attends_to_the_cache_as_it_did_to_the_whole() {
        let window = Visibility::all(3, 3).causal().sliding_window(2).unwrap();
        let whole = head().with_visibility(window).unwrap().with_alibi(2f64.ln()).unwrap();
        let whole = whole.with_softcap(Softcap::new(2.0).unwrap()).with_sink(1.0).unwrap();
        let (seen, _) = served(whole.clone()).seen(2, &[0, 2]).unwrap().remove(0);
        assert!(!seen.visibility().visible(0, 0) && seen.visibility().visible(0, 1));
        assert_eq!(
            (seen.sink(), seen.softcap(), seen.scale()),
            (whole.sink(), whole.softcap(), whole.scale())
        );
    }

    #[test]
    fn alibi_counts_from_the_positions_that_tokens_had() {
        // The last query has logits 0, ln 2, ln 5 and, at position 2, biases of -2, -1 and 0 times ln 2.
        let biased = head().with_alibi(2f64.ln()).unwrap();
        let (_, trace) = served(biased).seen(2, &[0, 2]).unwrap().remove(0);
        // Odds 1/4 and 5 on values 8 and 0: 2 over 21/4. Without the bias 8/6; with token 0 one step away 4 over 11/2.
        assert!((trace.output[[0, 0]] - 8.0 / 21.0).abs() < 1e-14);
    }
}
