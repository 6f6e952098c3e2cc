//! The scores by name.

mod accumulate;
mod gauge;
mod joint;
mod key;
mod removal;
mod value;
mod weight;

pub use accumulate::accumulate;

use std::fmt;
use std::str::FromStr;

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};
use thiserror::Error;

/// A saliency that sums one contribution per query; higher means keep.
///
/// Each variant says what query i contributes to token j: a is the weight, z the logit, v the value, o the output.
/// More will come: whoever treats some of them in a way of their own says what becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Score {
    /// `a² ‖v‖²`, the isolated value (C5, C9).
    Value,
    /// `a ‖v‖₁`, the isolated value by its 1-norm (C7).
    ValueOneNorm,
    /// `a² z² ‖v - o‖²`, the isolated key (C5).
    Key,
    /// `a² ‖v + z (v - o)‖²`, key and value together (C5).
    Joint,
    /// `a² ‖v‖² + a² z² ‖v - o‖²`, key and value together without their cross term (C6).
    JointNoCross,
    /// `(a / (1 - a))² ‖v - o‖²`, the exact removal of one token (C12).
    Removal,
    /// As the key score with log a in the place of z: measured from the log-sum-exp (C15).
    KeyLse,
    /// As the key score with z - mean z in the place of z: measured from the mean logit (C15).
    KeyMean,
    /// As the joint score with log a in the place of z (C15).
    JointLse,
    /// As the joint score with z - mean z in the place of z (C15).
    JointMean,
    /// `a`: H2O over all queries, SnapKV's sum over the last ones, TOVA over the last one (C7).
    Weight,
}

/// A score's formula: from a head and its trace to contributions of shape (query_len, kv_len).
type Formula = fn(&Head, &AttentionTrace) -> Array2<f64>;

/// One line a score, in the order of the variants and of every report: its name in files and on the command line, and its
/// formula. [`Score::ALL`], names and formulas are all read from here.
const SCORES: &[(Score, &str, Formula)] = &[
    (Score::Value, "value", value::two_norm),
    (Score::ValueOneNorm, "value-p1", value::one_norm),
    (Score::Key, "key", key::plain),
    (Score::Joint, "joint", joint::plain),
    (Score::JointNoCross, "joint-no-cross", joint::without_cross_term),
    (Score::Removal, "removal", removal::contributions),
    (Score::KeyLse, "key-lse", gauge::key_lse),
    (Score::KeyMean, "key-mean", gauge::key_mean),
    (Score::JointLse, "joint-lse", gauge::joint_lse),
    (Score::JointMean, "joint-mean", gauge::joint_mean),
    (Score::Weight, "weight", weight::contributions),
];

impl Score {
    /// All scores: the paper's, the exact one, the gauge-fixed ones, the heuristic.
    pub const ALL: [Self; SCORES.len()] = {
        let mut all = [Self::Value; SCORES.len()];
        let mut line = 0;
        while line < SCORES.len() {
            all[line] = SCORES[line].0;
            line += 1;
        }
        all
    };

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        self.line().1
    }

    fn line(self) -> &'static (Self, &'static str, Formula) {
        let line = SCORES.iter().find(|line| line.0 == self);
        line.expect("every score has a line in SCORES")
    }

    /// Contribution of every query to every token, shape (query_len, kv_len); 0 where the query does not see the token.
    ///
    /// `trace` must be the trace of `head`. O(query_len · kv_len · value_dim).
    ///
    /// # Panics
    /// Where the shapes of `trace` are not those of `head`.
    pub fn contributions(self, head: &Head, trace: &AttentionTrace) -> Array2<f64> {
        (self.line().2)(head, trace)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that belongs to no score.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no score named {0:?}")]
pub struct UnknownScore(pub String);

impl FromStr for Score {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        let known = Self::ALL.into_iter().find(|score| score.name() == name);
        known.ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::test_heads::{trace, two_queries};

    #[test]
    fn lines_stand_in_the_order_of_the_variants() {
        assert!(Score::ALL.is_sorted());
    }

    #[test]
    fn names_are_distinct_and_read_back() {
        let names: BTreeSet<&str> = Score::ALL.into_iter().map(Score::name).collect();
        assert_eq!(names.len(), Score::ALL.len());
        for score in Score::ALL {
            assert_eq!(score.to_string().parse(), Ok(score));
        }
        // Files hold these names.
        for name in
            "value value-p1 key joint joint-no-cross removal key-lse key-mean joint-lse joint-mean weight".split(' ')
        {
            assert_eq!(name.parse::<Score>().unwrap().name(), name);
        }
        assert_eq!("values".parse::<Score>(), Err(UnknownScore("values".to_owned())));
    }

    #[test]
    fn each_score_reaches_its_formula() {
        let head = two_queries();
        let trace = trace(&head);
        let [response, log_weight, above_mean] =
            [key::response, gauge::log_weight, gauge::above_mean].map(|f| f(&head, &trace));
        let expected = [
            (Score::Value, value::two_norm(&head, &trace)),
            (Score::ValueOneNorm, value::one_norm(&head, &trace)),
            (Score::Key, key::contributions(&head, &trace, &response)),
            (Score::Joint, joint::contributions(&head, &trace, &response)),
            (Score::JointNoCross, joint::without_cross_term(&head, &trace)),
            (Score::Removal, removal::contributions(&head, &trace)),
            (Score::KeyLse, key::contributions(&head, &trace, &log_weight)),
            (Score::KeyMean, key::contributions(&head, &trace, &above_mean)),
            (Score::JointLse, joint::contributions(&head, &trace, &log_weight)),
            (Score::JointMean, joint::contributions(&head, &trace, &above_mean)),
            (Score::Weight, trace.weights.clone()),
        ];
        for (score, expected) in expected {
            assert_eq!(score.contributions(&head, &trace), expected, "{score}");
        }
    }

    #[test]
    fn a_hidden_token_gets_nothing() {
        let head = two_queries();
        for score in Score::ALL {
            assert_eq!(score.contributions(&head, &trace(&head))[[0, 2]], 0.0, "{score}");
        }
    }
}
