//! The scores by name.

mod gauge;
mod joint;
mod key;
mod removal;
mod value;
mod weight;

use std::fmt;
use std::str::FromStr;

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};
use thiserror::Error;

/// A saliency that sums one contribution per query; higher means keep.
///
/// | name | contribution of query i to token j | claim |
/// |---|---|---|
/// | `value` | `a² ‖v‖²` | C5, C9 |
/// | `value-p1` | `a ‖v‖₁` | C7 |
/// | `key` | `a² z² ‖v - o‖²` | C5 |
/// | `joint` | `a² ‖v + z (v - o)‖²` | C5 |
/// | `joint-no-cross` | `a² ‖v‖² + a² z² ‖v - o‖²` | C6 |
/// | `removal` | `(a / (1 - a))² ‖v - o‖²`, exact | C12 |
/// | `key-lse`, `joint-lse` | as `key` and `joint` with z replaced by log a | C15 |
/// | `key-mean`, `joint-mean` | as `key` and `joint` with z replaced by z - mean z | C15 |
/// | `weight` | `a`: H2O over all queries, SnapKV's sum over the last ones, TOVA over the last one | C7 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Score {
    /// Isolated value, 2-norm.
    Value,
    /// Isolated value, 1-norm.
    ValueOneNorm,
    /// Isolated key.
    Key,
    /// Key and value together.
    Joint,
    /// Key and value together without their cross term.
    JointNoCross,
    /// Exact removal of one token.
    Removal,
    /// Key score with the log-sum-exp as the reference level of the logits.
    KeyLse,
    /// Key score with the mean logit as the reference level.
    KeyMean,
    /// Joint score with the log-sum-exp as the reference level of the logits.
    JointLse,
    /// Joint score with the mean logit as the reference level.
    JointMean,
    /// The attention weight itself.
    Weight,
}

impl Score {
    /// All scores: the paper's, the exact one, the gauge-fixed ones, the heuristic.
    pub const ALL: [Self; 11] = [
        Self::Value,
        Self::ValueOneNorm,
        Self::Key,
        Self::Joint,
        Self::JointNoCross,
        Self::Removal,
        Self::KeyLse,
        Self::KeyMean,
        Self::JointLse,
        Self::JointMean,
        Self::Weight,
    ];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::ValueOneNorm => "value-p1",
            Self::Key => "key",
            Self::Joint => "joint",
            Self::JointNoCross => "joint-no-cross",
            Self::Removal => "removal",
            Self::KeyLse => "key-lse",
            Self::KeyMean => "key-mean",
            Self::JointLse => "joint-lse",
            Self::JointMean => "joint-mean",
            Self::Weight => "weight",
        }
    }

    /// Contribution of every query to every token, shape (query_len, kv_len); 0 where the query does not see the token.
    ///
    /// `trace` must be the trace of `head`. O(query_len · kv_len · value_dim).
    ///
    /// # Panics
    /// Where the shapes of `trace` are not those of `head`.
    pub fn contributions(self, head: &Head, trace: &AttentionTrace) -> Array2<f64> {
        match self {
            Self::Value => value::two_norm(head, trace),
            Self::ValueOneNorm => value::one_norm(head, trace),
            Self::Key => key::contributions(head, trace, &key::response(head, trace)),
            Self::Joint => joint::contributions(head, trace, &key::response(head, trace)),
            Self::JointNoCross => joint::without_cross_term(head, trace),
            Self::Removal => removal::contributions(head, trace),
            Self::KeyLse => key::contributions(head, trace, &gauge::log_weight(head, trace)),
            Self::KeyMean => key::contributions(head, trace, &gauge::above_mean(head, trace)),
            Self::JointLse => joint::contributions(head, trace, &gauge::log_weight(head, trace)),
            Self::JointMean => joint::contributions(head, trace, &gauge::above_mean(head, trace)),
            Self::Weight => weight::contributions(trace),
        }
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
    use super::*;
    use crate::test_heads::{trace, two_queries};

    #[test]
    fn names_are_distinct_and_read_back() {
        let names = Score::ALL.map(Score::name);
        assert_eq!(
            names.join(" "),
            "value value-p1 key joint joint-no-cross removal key-lse key-mean joint-lse joint-mean weight"
        );
        for score in Score::ALL {
            assert_eq!(score.to_string().parse(), Ok(score));
        }
        assert_eq!("values".parse::<Score>(), Err(UnknownScore("values".to_owned())));
    }

    #[test]
    fn each_name_reaches_its_formula() {
        let head = two_queries();
        let trace = trace(&head);
        let expected = [
            value::two_norm(&head, &trace),
            value::one_norm(&head, &trace),
            key::contributions(&head, &trace, &key::response(&head, &trace)),
            joint::contributions(&head, &trace, &key::response(&head, &trace)),
            joint::without_cross_term(&head, &trace),
            removal::contributions(&head, &trace),
            key::contributions(&head, &trace, &gauge::log_weight(&head, &trace)),
            key::contributions(&head, &trace, &gauge::above_mean(&head, &trace)),
            joint::contributions(&head, &trace, &gauge::log_weight(&head, &trace)),
            joint::contributions(&head, &trace, &gauge::above_mean(&head, &trace)),
            weight::contributions(&trace),
        ];
        for (score, expected) in Score::ALL.into_iter().zip(expected) {
            assert_eq!(score.contributions(&head, &trace), expected, "{score}");
            assert_eq!(expected[[0, 2]], 0.0, "{score}");
        }
    }
}
