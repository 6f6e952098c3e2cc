//! `obcache counterexample`: the smallest problem in which a score is wrong.

use clap::Args;
use clap::builder::PossibleValuesParser;
use obcache_scores::{Score, UnknownScore};
use obd_core::{Perturbation, UnknownName};

use super::failure::Failure;
use study::counterexample::interaction::{self, Interaction};
use study::counterexample::selection;
use study::counterexample::{Doubted, Outcome, search};
use study::names::{Ranking, Selection};

/// Finds and shrinks the smallest attention problem in which the score ranks two tokens against the truth, in which a selection
/// keeps a set that is not the best, or in which two tokens cost more, or less, together than one by one.
///
/// The problem is printed as numbers that can be checked by hand: query, keys, values, logits, weights, output, and the
/// score and the true error of both tokens with their arithmetic. The truth is brute force: attention is run again.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The score to refute.
    #[arg(long, value_parser = PossibleValuesParser::new(names(Doubted::all())), required_unless_present_any = ["interaction", "selection"])]
    score: Option<String>,

    /// The perturbation whose squared norm is the truth.
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(Perturbation::ALL.map(Perturbation::name)),
        required_unless_present_any = ["interaction", "selection"]
    )]
    truth: Option<String>,

    /// Instead of a score: the way in which the errors of two tokens do not add up.
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(Interaction::ALL.map(Interaction::name)),
        conflicts_with_all = ["score", "truth"]
    )]
    interaction: Option<String>,

    /// Instead of a score: the selection that keeps a worse set than the best of its size.
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(names(selection::selections())),
        conflicts_with_all = ["score", "truth", "interaction"]
    )]
    selection: Option<String>,

    /// Seed of the problems drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn names(known: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    known.into_iter().map(|one| one.to_string()).collect()
}

const EXAMPLES: &str = "\
Examples:
  obcache counterexample --score key --truth removal
      a key of 0 has score 0, but its token matters
  obcache counterexample --score joint --truth joint-zeroing --seed 7
      the term that the joint form drops
  obcache counterexample --score value --truth value-zeroing
      none exists: this score is exact (claim C9)
  obcache counterexample --interaction super-additive
      why a ranking of single tokens does not choose a set (claim C37)
  obcache counterexample --selection greedy
      a set that greedy removal chooses and that is not the best";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        match (&self.selection, &self.interaction, &self.score, &self.truth) {
            (Some(name), ..) => self.selection(name),
            (_, Some(name), ..) => self.interaction(name),
            (.., Some(score), Some(truth)) => self.misranking(score, truth),
            _ => Err(Failure::Input(
                "expected --score and --truth, --selection, or --interaction".to_owned(),
            )),
        }
    }

    fn selection(&self, name: &str) -> Result<String, Failure> {
        let unknown = || Failure::Input(format!("there is no selection named {name:?}"));
        let selection: Selection = name.parse().map_err(|_| unknown())?;
        let (example, problems) = selection::search(selection, self.seed).ok_or_else(unknown)?;
        Ok(example.map_or_else(
            || format!("None found: in {problems} problems `{name}` never kept a set clearly worse than the best of its size."),
            |example| example.to_string(),
        ))
    }

    fn interaction(&self, name: &str) -> Result<String, Failure> {
        let kind = Interaction::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| Failure::Input(format!("there is no interaction named {name:?}")))?;
        let example = interaction::search(kind, self.seed);
        Ok(example.map_or_else(
            || format!("None found that is clearly {name}."),
            |example| example.to_string(),
        ))
    }

    fn misranking(&self, score: &str, truth: &str) -> Result<String, Failure> {
        let what: Perturbation = truth
            .parse()
            .map_err(|error: UnknownName| Failure::Input(error.to_string()))?;
        let score: Doubted = score
            .parse()
            .map_err(|error: UnknownScore| Failure::Input(error.to_string()))?;
        Ok(match search(score, what, self.seed) {
            Outcome::Found(counterexample) => counterexample.to_string(),
            Outcome::NoneFound { problems } => format!(
                "None found: in {problems} problems `{score}` ranked no two tokens clearly against {truth}.{}",
                exact(score, what)
            ),
        })
    }
}

/// Why there is none, where a claim says so.
fn exact(score: Doubted, truth: Perturbation) -> &'static str {
    let Doubted::Ranking(Ranking::Score(score)) = score else {
        return "";
    };
    match (score, truth) {
        (Score::Value, Perturbation::ValueZeroing) => " There is none: the score is this truth (claim C9).",
        (Score::Removal, Perturbation::Removal) => " There is none: the score is this truth (claim C12).",
        _ => "",
    }
}
