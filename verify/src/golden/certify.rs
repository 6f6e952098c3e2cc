//! Every number of an output, certified: evaluated with bounds whose ends both round to it.
//!
//! A ball of some hundred bits decides nearly all; what it cannot tell is evaluated again between ends of 256, 1024 and
//! 4096 bits (Ziv's strategy). What even those cannot tell, a number that lies exactly halfway between two floats, is refused:
//! the case must be made of other data.

use std::collections::BTreeSet;

use golden::{AttentionProblem, OutputKind, OutputSpec, Pooling};
use ndarray::{Array2, ArrayD, Dimension, IxDyn};
use obd_core::{Head, HeadGroups, ProblemError};
use reference_attention::{Ball, Enclosure, Interval, attend};
use thiserror::Error;

use super::definition::HeadDefinition;
use super::reduction::{pool, reduce};

/// Why a truth cannot be had.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TruthError {
    /// A number is not certain even in 4096 bits.
    #[error("{output}{index:?} cannot be certified")]
    Uncertain {
        /// The output.
        output: String,
        /// The element.
        index: Vec<usize>,
    },
    /// The tensors are no attention problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
}

/// The outputs `specs` of `problem`, each number the f64 nearest to the true value. Claim C23.
///
/// # Errors
/// [`TruthError`] where the problem is none, or a number cannot be certified.
pub fn truth(problem: &AttentionProblem, specs: &[OutputSpec]) -> Result<Vec<ArrayD<f64>>, TruthError> {
    let mut search = Search {
        heads: problem.heads()?,
        groups: problem.groups()?,
        specs,
        shapes: specs.iter().map(|spec| spec.shape(problem)).collect(),
        found: Vec::new(),
    };
    search.found = (search.shapes.iter().map(|shape| ArrayD::from_elem(IxDyn(shape), None))).collect();
    search.evaluate::<Ball>();
    search.evaluate::<Interval<256>>();
    search.evaluate::<Interval<1024>>();
    search.evaluate::<Interval<4096>>();
    search.finish()
}

/// The numbers found so far, and those still missing.
struct Search<'a> {
    heads: Vec<Head>,
    groups: HeadGroups,
    specs: &'a [OutputSpec],
    shapes: Vec<Vec<usize>>,
    found: Vec<ArrayD<Option<f64>>>,
}

impl Search<'_> {
    /// Evaluates what is missing in the arithmetic `S`.
    fn evaluate<S: Enclosure>(&mut self) {
        for kv_head in 0..self.groups.num_kv_heads() {
            let members = self.groups.query_heads(kv_head);
            let missing: Vec<usize> = (0..self.specs.len())
                .filter(|&s| members.clone().any(|head| self.is_missing(s, head)))
                .collect();
            let mut pooled: Vec<Vec<Vec<S>>> = vec![Vec::new(); self.specs.len()];
            for head in members.clone() {
                let needed: Vec<usize> = (missing.iter().copied())
                    .filter(|&s| self.specs[s].group_reduction.is_some() || self.is_missing(s, head))
                    .collect();
                if needed.is_empty() {
                    continue;
                }
                for (s, saliency) in self.evaluate_head::<S>(head, &needed) {
                    pooled[s].push(saliency);
                }
            }
            for s in missing {
                if let Some(reduction) = self.specs[s].group_reduction {
                    for (token, number) in reduce(reduction, &pooled[s]).iter().enumerate() {
                        self.found[s][[kv_head, token]] = self.found[s][[kv_head, token]].or(number.certified());
                    }
                }
            }
        }
    }

    /// Whether a number of this query head (or of its group) is missing.
    fn is_missing(&self, spec: usize, query_head: usize) -> bool {
        let row = match self.specs[spec].group_reduction {
            Some(_) => self.groups.kv_head(query_head),
            None => query_head,
        };
        let rows = self.found[spec].index_axis(ndarray::Axis(0), row);
        rows.iter().any(Option::is_none)
    }

    /// Records the outputs `needed` of one head and returns the pooled saliencies that a group reduction still needs.
    fn evaluate_head<S: Enclosure>(&mut self, head: usize, needed: &[usize]) -> Vec<(usize, Vec<S>)> {
        let definition = HeadDefinition {
            head: &self.heads[head],
            trace: attend(&self.heads[head].lift(|&x| S::from_f64(x))),
        };
        let tokens = self.missing_tokens(head, needed);
        let saliencies: Vec<usize> = (needed.iter().copied())
            .filter(|&s| self.specs[s].kind.is_saliency())
            .collect();
        let specs: Vec<OutputSpec> = saliencies.iter().map(|&s| self.specs[s]).collect();
        let sums = match specs.is_empty() {
            true => Array2::from_elem((0, 0), S::from_f64(0.0)),
            false => definition.saliencies(&specs, |token| tokens.contains(&token)),
        };
        for &s in needed {
            match self.specs[s].kind {
                OutputKind::Output => {
                    for ((i, c), number) in definition.trace.output.indexed_iter() {
                        self.found[s][[head, i, c]] = self.found[s][[head, i, c]].or(number.certified());
                    }
                }
                OutputKind::LogSumExp => {
                    for (i, number) in definition.trace.log_sum_exp.iter().enumerate() {
                        self.found[s][[head, i]] = self.found[s][[head, i]].or(number.certified());
                    }
                }
                _ => (),
            }
        }
        let mut reducible = Vec::new();
        for (&s, sums) in saliencies.iter().zip(sums.rows()) {
            let pooled = pool(self.specs[s].pooling, &sums.to_vec());
            if self.specs[s].group_reduction.is_some() {
                reducible.push((s, pooled));
                continue;
            }
            for (token, number) in pooled.iter().enumerate() {
                self.found[s][[head, token]] = self.found[s][[head, token]].or(number.certified());
            }
        }
        reducible
    }

    /// The tokens of which a missing saliency is made, neighbours in a pool included.
    fn missing_tokens(&self, head: usize, needed: &[usize]) -> BTreeSet<usize> {
        let mut tokens = BTreeSet::new();
        for &s in needed.iter().filter(|&&s| self.specs[s].kind.is_saliency()) {
            let row = match self.specs[s].group_reduction {
                Some(_) => self.groups.kv_head(head),
                None => head,
            };
            // Without pooling a token has no neighbours.
            let radius = self.specs[s].pooling.map_or(0, Pooling::radius);
            for (token, _) in (self.found[s].index_axis(ndarray::Axis(0), row).iter().enumerate())
                .filter(|(_, found)| found.is_none())
            {
                tokens.extend(token.saturating_sub(radius)..=token + radius);
            }
        }
        tokens
    }

    fn finish(self) -> Result<Vec<ArrayD<f64>>, TruthError> {
        let mut truths = Vec::new();
        for (found, spec) in self.found.into_iter().zip(self.specs) {
            if let Some((index, _)) = found.indexed_iter().find(|(_, number)| number.is_none()) {
                return Err(TruthError::Uncertain {
                    output: spec.to_string(),
                    index: index.slice().to_vec(),
                });
            }
            truths.push(found.mapv(|number| number.expect("a missing one was returned as an error")));
        }
        Ok(truths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::Mask;
    use ndarray::{Array3, array};

    /// One query and two equal keys: weights 1/2 each.
    fn even(value: Array3<f64>) -> AttentionProblem {
        AttentionProblem {
            query: array![[[1.0]]],
            key: array![[[1.5], [1.5]]],
            value,
            scale: 1.0,
            mask: Mask::causal(),
            softcap: None,
            sinks: None,
        }
    }

    #[test]
    fn by_hand() {
        let specs =
            ["output", "log-sum-exp", "weight", "value", "removal", "key-zeroing"].map(|name| name.parse().unwrap());
        let truths = truth(&even(array![[[1.0], [4.0]]]), &specs).unwrap();
        assert_eq!(truths[0], array![[[2.5]]].into_dyn());
        // 1.5 + ln 2 = 2.193147180559945309...
        assert_eq!(truths[1], array![[2.1931471805599454]].into_dyn());
        assert_eq!(truths[2], array![[0.5, 0.5]].into_dyn());
        assert_eq!(truths[3], array![[0.25, 4.0]].into_dyn());
        // The output goes from 2.5 to 4, or to 1.
        assert_eq!(truths[4], array![[2.25, 2.25]].into_dyn());
        // At logit 0 the odds are 1 : e^1.5, so that the output moves by 3 (e^1.5/(1 + e^1.5) - 1/2) = 0.9527234...
        let moved = 3.0 * (0.817_574_476_193_643_7 - 0.5f64);
        assert!((truths[5][[0, 0]] - moved * moved).abs() < 1e-15);
    }

    #[test]
    fn a_number_halfway_between_two_floats_is_refused() {
        // (3/2 + 2^-26)² = 9/4 + 3·2^-26 + 2^-52, and floats above 2 are 2^-51 apart. Both logits are 0.37 · 1.1 · 1.3, of more
        // bits than a ball has, so that no arithmetic knows the weights to be exactly 1/2.
        let mut problem = even(array![[[1.5 + 2f64.powi(-26)], [1.0]]]);
        problem.query.fill(1.1);
        problem.key.fill(1.3);
        problem.scale = 0.37;
        let refused = truth(&problem, &[OutputKind::Value.into()]).unwrap_err();
        assert_eq!(refused.to_string(), "value[0, 0] cannot be certified");
        // A difference of equal inexact numbers is 0 for all that f64 can tell, once squared in enough bits.
        let zero = truth(&problem, &[OutputKind::KeyMean.into()]).unwrap();
        assert_eq!(zero[0], array![[0.0, 0.0]].into_dyn());
    }

    #[test]
    fn what_a_ball_cannot_tell_an_interval_does() {
        // A weight of e^-900 and a remainder of 1 - a that needs 1 300 bits.
        let mut problem = even(array![[[1.0], [4.0]]]);
        problem.key = array![[[-900.0], [0.0]]];
        let truths = truth(
            &problem,
            &["output", "removal", "log-sum-exp"].map(|name| name.parse().unwrap()),
        )
        .unwrap();
        assert_eq!(truths[0], array![[[4.0]]].into_dyn());
        assert_eq!(truths[1], array![[0.0, 9.0]].into_dyn());
        assert_eq!(truths[2], array![[0.0]].into_dyn());
    }
}
