//! Searches for a head in which a score ranks two tokens against the truth.

use std::cell::Cell;

use ndarray::Array1;
use obd_core::{Head, Perturbation, QueryWindow};
use reference_attention::oracle;

use super::doubted::Doubted;
use super::draw::{first, runner};
use super::misranked::{Misranked, misranked};
use super::small_heads::SIZES;

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
    pub(super) score: Doubted,
    pub(super) truth: Perturbation,
    pub(super) head: Head,
    pub(super) saliency: Array1<f64>,
    pub(super) pair: Misranked,
    pub(super) problems: usize,
}

/// Searches, all queries in the window; the same arguments give the same outcome.
pub fn search(score: Doubted, truth: Perturbation, seed: u64) -> Outcome {
    let wrong = |head: &Head| {
        let saliency = score.saliency(head)?;
        Some((misranked(&saliency, &errors(truth, head))?, saliency))
    };
    let tried = Cell::new(0);
    for (stream, size) in SIZES.into_iter().enumerate() {
        if let Some((head, (pair, saliency), problems)) = first(runner(seed, stream), size, &tried, wrong) {
            return Outcome::Found(Box::new(Counterexample {
                score,
                truth,
                saliency,
                head,
                pair,
                problems,
            }));
        }
    }
    Outcome::NoneFound { problems: tried.get() }
}

fn errors(truth: Perturbation, head: &Head) -> Array1<f64> {
    oracle::token_errors(head, truth, QueryWindow::All)
}

#[cfg(test)]
mod tests {
    use obcache_scores::Score;
    use reference_attention::attend;

    use super::super::draw::DRAWS;
    use super::*;

    fn search_for(score: &str, truth: Perturbation, seed: u64) -> Outcome {
        search(score.parse().unwrap(), truth, seed)
    }

    #[test]
    fn the_key_score_is_wrong_about_removal_on_two_tokens() {
        let Outcome::Found(found) = search_for("key", Perturbation::Removal, 0) else {
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
        for score in Doubted::all() {
            let Doubted::Field(definition) = score else { continue };
            let Outcome::Found(found) = search(score, Perturbation::Removal, 0) else {
                panic!("{score}: none found");
            };
            assert!(found.to_string().contains(definition.words));
        }
    }

    #[test]
    fn an_exact_score_is_never_wrong() {
        for (score, truth) in [
            ("value", Perturbation::ValueZeroing),
            ("removal", Perturbation::Removal),
        ] {
            let Outcome::NoneFound { problems } = search_for(score, truth, 1) else {
                panic!("{score} found");
            };
            assert_eq!(problems, SIZES.len() * DRAWS as usize);
        }
    }

    #[test]
    fn a_seed_decides_everything() {
        let text = |seed| match search_for("joint", Perturbation::JointZeroing, seed) {
            Outcome::Found(found) => found.to_string(),
            Outcome::NoneFound { .. } => String::new(),
        };
        assert_eq!(text(3), text(3));
        assert!(text(3).contains("joint"));
    }
}
