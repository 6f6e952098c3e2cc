//! `obcache counterexample`: the smallest problem in which a score is wrong.

use clap::Args;
use clap::builder::PossibleValuesParser;
use obcache_scores::Score;
use obd_core::Perturbation;

use super::failure::Failure;
use crate::counterexample::{Outcome, score_names, search};

/// Finds and shrinks the smallest attention problem in which the score ranks two tokens against the truth.
///
/// The problem is printed as numbers that can be checked by hand: query, keys, values, logits, weights, output, and the
/// score and the true error of both tokens with their arithmetic. The truth is brute force: attention is run again.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The score that is doubted.
    #[arg(long, value_parser = PossibleValuesParser::new(score_names()))]
    score: String,

    /// The perturbation whose squared norm is the truth.
    #[arg(long, value_parser = PossibleValuesParser::new(Perturbation::ALL.map(Perturbation::name)))]
    truth: String,

    /// Seed of the problems drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  obcache counterexample --score key --truth removal
      a key of 0 has score 0, and is missed all the same
  obcache counterexample --score joint --truth joint-zeroing --seed 7
      what the joint form drops
  obcache counterexample --score value --truth value-zeroing
      none: this score is exact (claim C9)";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let truth = Perturbation::ALL.into_iter().find(|truth| truth.name() == self.truth);
        let truth = truth.ok_or_else(|| Failure::Input(format!("there is no truth named {:?}", self.truth)))?;
        let outcome = search(&self.score, truth, self.seed).map_err(|error| Failure::Input(error.to_string()))?;
        Ok(match outcome {
            Outcome::Found(counterexample) => counterexample.to_string(),
            Outcome::NoneFound { problems } => format!(
                "None found: in {problems} problems `{}` ranked no two tokens clearly against {}.{}",
                self.score,
                self.truth,
                exact(&self.score, truth)
            ),
        })
    }
}

/// Why there is none, where a claim says so.
fn exact(score: &str, truth: Perturbation) -> &'static str {
    match (score.parse(), truth) {
        (Ok(Score::Value), Perturbation::ValueZeroing) => " There is none: the score is this truth (claim C9).",
        (Ok(Score::Removal), Perturbation::Removal) => " There is none: the score is this truth (claim C12).",
        _ => "",
    }
}
