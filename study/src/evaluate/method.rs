//! The ways to choose what is kept.

use std::fmt;
use std::str::FromStr;

use obcache_scores::Score;
use obcache_scores::serve::Policy;
use obd_core::{Pooling, QueryWindow};
use serde::{Deserialize, Serialize};

/// Queries that SnapKV and the plain scores look back on, as in SnapKV's paper.
const OBSERVED: usize = 32;

/// Over which queries a score is summed, and how it is smoothed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As H2O: all queries; half of the budget is the most recent tokens.
    H2o,
    /// As TOVA: the last query alone; nothing is protected.
    Tova,
    /// As SnapKV: the last 32 queries, max-pooled over 7 tokens; these queries' own tokens are kept, up to half of the budget.
    SnapKv,
    /// As SnapKV without pooling.
    Plain,
}

/// A way to choose what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Method {
    /// Everything is kept, whatever the budget.
    Full,
    /// Tokens by lot, nothing protected.
    Random,
    /// The first 4 tokens and the most recent ones.
    StreamingLlm,
    /// Greedy exact removal over the last 32 queries, the recent half of the budget protected.
    Greedy,
    /// The best by a score.
    Scored(Score, Form),
}

impl Method {
    /// All methods: the bounds, the heuristics, the scores, and every heuristic with its weight replaced.
    pub fn all() -> Vec<Self> {
        let heuristics = [Form::H2o, Form::Tova, Form::SnapKv];
        let scores = [Score::Value, Score::Key, Score::Joint];
        let mut all = vec![Self::Full, Self::Random, Self::StreamingLlm];
        all.extend(heuristics.map(|form| Self::Scored(Score::Weight, form)));
        all.push(Self::Scored(Score::ValueOneNorm, Form::H2o));
        all.extend(scores.map(|score| Self::Scored(score, Form::Plain)));
        for form in heuristics {
            all.extend(scores.map(|score| Self::Scored(score, form)));
            all.push(Self::Scored(Score::Removal, form));
        }
        all.push(Self::Greedy);
        all
    }

    /// The heuristics with each of their replacements: what the paper's claim is about.
    pub fn pairs() -> Vec<(Self, Self)> {
        let forms = [Form::H2o, Form::Tova, Form::SnapKv];
        let scores = [Score::Value, Score::Key, Score::Joint, Score::Removal];
        let pair = |form, score| (Self::Scored(Score::Weight, form), Self::Scored(score, form));
        forms
            .into_iter()
            .flat_map(|form| scores.map(|score| pair(form, score)))
            .collect()
    }

    /// The policy that keeps `budget` tokens, or all of them for [`Method::Full`]; it has a score for the scored methods alone.
    pub fn policy(self, budget: usize) -> Policy {
        let (score, form) = match self {
            Self::Scored(score, form) => (score, form),
            Self::Full => return Policy::unscored(usize::MAX),
            Self::Random | Self::StreamingLlm | Self::Greedy => return Policy::unscored(budget),
        };
        let half = budget / 2;
        let (prefill_window, accumulate, pooling, recent) = match form {
            Form::H2o => (QueryWindow::All, true, None, half),
            Form::Tova => (QueryWindow::Last(1), false, None, 0),
            Form::SnapKv => (
                QueryWindow::Last(OBSERVED),
                true,
                Some(Pooling::Max { radius: 3 }),
                half.min(OBSERVED),
            ),
            Form::Plain => (QueryWindow::Last(OBSERVED), true, None, half.min(OBSERVED)),
        };
        Policy {
            score: Some(score),
            prefill_window,
            accumulate,
            pooling,
            recent,
            ..Policy::unscored(budget - recent)
        }
    }

    /// The queries that greedy removal looks back on, and the recent tokens it may not evict.
    pub fn greedy(budget: usize) -> (QueryWindow, usize) {
        (QueryWindow::Last(OBSERVED), (budget / 2).min(OBSERVED))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = |form| match form {
            Form::H2o => "h2o",
            Form::Tova => "tova",
            Form::SnapKv => "snapkv",
            Form::Plain => "plain",
        };
        match *self {
            Self::Full => f.write_str("full"),
            Self::Random => f.write_str("random"),
            Self::StreamingLlm => f.write_str("streaming-llm"),
            Self::Greedy => f.write_str("greedy"),
            Self::Scored(Score::ValueOneNorm, Form::H2o) => f.write_str("vatp"),
            Self::Scored(score, Form::Plain) => write!(f, "{score}"),
            Self::Scored(Score::Weight, form) => f.write_str(family(form)),
            Self::Scored(score, form) => write!(f, "{}+{score}", family(form)),
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = Self::all();
        let names: Vec<String> = all.iter().map(Self::to_string).collect();
        let place = names.iter().position(|known| known == name);
        place
            .map(|place| all[place])
            .ok_or_else(|| format!("expected one of {}", names.join(", ")))
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_differ() {
        for method in Method::all() {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert!("h2o+joint".parse::<Method>().is_ok() && "h3o".parse::<Method>().is_err());
        assert!(
            Method::pairs()
                .iter()
                .all(|(plain, better)| better.to_string().starts_with(&format!("{plain}+")))
        );
    }

    #[test]
    fn every_policy_keeps_the_budget() {
        for method in Method::all() {
            for budget in [1, 2, 7, 100] {
                let kept = if method == Method::Full { usize::MAX } else { budget };
                assert_eq!(method.policy(budget).budget(), kept, "{method}");
            }
        }
    }
}
