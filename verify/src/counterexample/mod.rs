//! The smallest attention problem in which a score ranks two tokens against the truth.
//!
//! Problems of small whole numbers are drawn size by size, smallest first; the first that misranks a pair is shrunk
//! by proptest towards zeros. The truth is brute force, so no closed form judges another.

mod arithmetic;
mod by_hand;
mod field;
pub mod interaction;
mod misranked;
mod problem;
pub mod selection;

use std::cell::Cell;

use ndarray::Array1;
use obcache_scores::UnknownScore;
use obd_core::{Head, Perturbation, QueryWindow};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use reference_attention::oracle;

use crate::measure::ranking::{self, Contributions};
use misranked::{Misranked, misranked};
use problem::{SIZES, Size, problems};

/// Problems drawn of each size. A size whose problems go wrong once in 500 is missed with probability e⁻⁸.
const DRAWS: u32 = 4000;

/// What a search came to.
pub enum Outcome {
    /// The score misranks a pair.
    Found(Box<Counterexample>),
    /// It did not, in so many problems.
    NoneFound {
        /// Problems tried.
        problems: usize,
    },
}

/// A problem in which a score ranks two tokens against the truth; displays as numbers that can be checked by hand.
pub struct Counterexample {
    score: String,
    truth: Perturbation,
    head: Head,
    saliency: Array1<f64>,
    pair: Misranked,
    problems: usize,
}

/// The scores that can be searched: those of [`obcache_scores::Score`], the heuristics of the report, and those of the field
/// that a few tokens have.
pub fn score_names() -> Vec<String> {
    ranking::names().into_iter().chain(field::names()).collect()
}

/// Searches, all queries in the window; the same arguments give the same outcome.
///
/// # Errors
/// [`UnknownScore`] unless `score` is one of [`score_names`].
pub fn search(score: &str, truth: Perturbation, seed: u64) -> Result<Outcome, UnknownScore> {
    if !score_names().iter().any(|name| name == score) {
        return Err(UnknownScore(score.to_owned()));
    }
    let wrong = |head: &Head| {
        let saliency = saliency(score, head)?;
        Some((misranked(&saliency, &errors(truth, head))?, saliency))
    };
    let tried = Cell::new(0);
    for (stream, size) in SIZES.into_iter().enumerate() {
        if let Some((head, (pair, saliency), problems)) = first(runner(seed, stream), size, &tried, wrong) {
            return Ok(Outcome::Found(Box::new(Counterexample {
                score: score.to_owned(),
                truth,
                saliency,
                head,
                pair,
                problems,
            })));
        }
    }
    Ok(Outcome::NoneFound { problems: tried.get() })
}

/// The first problem of a size that is wrong, shrunk, with what is wrong and the problems drawn up to it.
fn first<T>(
    mut runner: TestRunner,
    size: Size,
    tried: &Cell<usize>,
    wrong: impl Fn(&Head) -> Option<T>,
) -> Option<(Head, T, usize)> {
    let drawn = Cell::new(None);
    let outcome = runner.run(&problems(size), |head| {
        tried.set(tried.get() + 1);
        if wrong(&head).is_none() {
            return Ok(());
        }
        drawn.set(drawn.get().or(Some(tried.get())));
        Err(TestCaseError::fail("misranked"))
    });
    match outcome {
        Err(TestError::Fail(_, head)) => {
            let pair = wrong(&head)?;
            Some((head, pair, drawn.get()?))
        }
        _ => None,
    }
}

/// A runner counts its successes for good, so each size has its own.
fn runner(seed: u64, stream: usize) -> TestRunner {
    let config = Config {
        cases: DRAWS,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = stream as u8;
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Of one of [`score_names`]; `None` where the head is too small for it.
fn saliency(score: &str, head: &Head) -> Option<Array1<f64>> {
    let Some(place) = ranking::names().iter().position(|name| name == score) else {
        return field::saliency(score, head);
    };
    let sums = Contributions::of(head).sums(QueryWindow::All);
    Some(sums.rankings().swap_remove(place))
}

fn errors(truth: Perturbation, head: &Head) -> Array1<f64> {
    oracle::token_errors(head, truth, QueryWindow::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use obcache_scores::Score;
    use reference_attention::attend;

    #[test]
    fn the_key_score_is_wrong_about_removal_on_two_tokens() {
        let Ok(Outcome::Found(found)) = search("key", Perturbation::Removal, 0) else {
            panic!("none found");
        };
        assert_eq!((found.head.kv_len(), found.head.query_len()), (2, 1));
        let (above, below) = (found.pair.above, found.pair.below);
        let saliency = Score::Key.contributions(&found.head, &attend(&found.head));
        assert!(saliency[[0, above]] > saliency[[0, below]]);
        let errors = errors(Perturbation::Removal, &found.head);
        assert!(errors[above] < errors[below]);
    }

    #[test]
    fn every_score_of_the_field_has_a_counterexample_to_removal() {
        for score in field::names() {
            let Ok(Outcome::Found(found)) = search(&score, Perturbation::Removal, 0) else {
                panic!("{score}: none found");
            };
            assert!(found.to_string().contains(field::words(&score).unwrap()));
        }
    }

    #[test]
    fn an_exact_score_is_never_wrong() {
        for (score, truth) in [
            ("value", Perturbation::ValueZeroing),
            ("removal", Perturbation::Removal),
        ] {
            let Ok(Outcome::NoneFound { problems }) = search(score, truth, 1) else {
                panic!("{score} found");
            };
            assert_eq!(problems, SIZES.len() * DRAWS as usize);
        }
    }

    #[test]
    fn a_seed_decides_everything() {
        let text = |seed| match search("joint", Perturbation::JointZeroing, seed) {
            Ok(Outcome::Found(found)) => found.to_string(),
            _ => String::new(),
        };
        assert_eq!(text(3), text(3));
        assert!(text(3).contains("joint"));
    }

    #[test]
    fn an_unknown_score_is_refused() {
        assert!(search("attention", Perturbation::Removal, 0).is_err());
    }
}
