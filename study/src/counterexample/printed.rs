//! A counterexample in numbers that can be checked by hand.

use std::fmt::{self, Display, Formatter};

use obcache_scores::Score;
use obd_core::{AttentionTrace, Head, Perturbation};
use reference_attention::{attend, oracle};

use super::arithmetic::factors;
use super::by_hand::{number, problem, vector};
use super::doubted::Doubted;
use super::search::Counterexample;
use crate::names::Ranking;

impl Display for Counterexample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = attend(&self.head);
        let (score, truth) = (&self.score, self.truth.name());
        writeln!(
            f,
            "The score `{score}` ranks token {} above token {}. The truth, {truth}, says the opposite.",
            self.pair.above, self.pair.below
        )?;
        problem(f, &self.head, &trace, self.problems)?;
        self.scores(f, &trace)?;
        self.truths(f, &trace)
    }
}

impl Counterexample {
    fn pair(&self) -> [usize; 2] {
        [self.pair.above, self.pair.below]
    }

    fn scores(&self, f: &mut Formatter<'_>, trace: &AttentionTrace) -> fmt::Result {
        let queries = if self.head.query_len() == 1 {
            ""
        } else {
            ", summed over the queries"
        };
        match self.score {
            Doubted::Ranking(Ranking::Score(score)) => match factors(score, &self.head, trace, 0, 0) {
                Some(factors) => {
                    let symbols: Vec<&str> = factors.iter().map(|factor| factor.0).collect();
                    writeln!(f, "score `{score}` = {}{queries}", symbols.join(" · "))?;
                    for j in self.pair() {
                        let terms = (0..self.head.query_len()).filter_map(|i| term(score, &self.head, trace, i, j));
                        sum(f, j, terms.collect())?;
                    }
                }
                None => self.in_words(f, "the sum over the queries of what each contributes")?,
            },
            Doubted::Ranking(Ranking::WeightMaxPool) => {
                let words = "the largest summed weight among a token and its 3 neighbours on each side";
                self.in_words(f, words)?;
            }
            Doubted::Ranking(Ranking::WeightAveragePool) => {
                let words = "the summed weights of a token and its 3 neighbours on each side, over 7";
                self.in_words(f, words)?;
            }
            Doubted::Ranking(Ranking::StreamingLlm) => {
                self.in_words(f, "position: the first 4 tokens, then the newer the higher")?;
            }
            Doubted::Field(definition) => self.in_words(f, definition.words)?,
        }
        writeln!(f)
    }

    /// A score that is no product of factors: what it is, and its numbers.
    fn in_words(&self, f: &mut Formatter<'_>, words: &str) -> fmt::Result {
        writeln!(f, "score `{}`: {words}", self.score)?;
        for j in self.pair() {
            writeln!(f, "  token {j}: {}", number(self.saliency[j]))?;
        }
        Ok(())
    }

    fn truths(&self, f: &mut Formatter<'_>, trace: &AttentionTrace) -> fmt::Result {
        writeln!(
            f,
            "truth {} = ‖change of o‖² when {}",
            self.truth.name(),
            deed(self.truth)
        )?;
        for j in self.pair() {
            let change = oracle::perturbation(&self.head, self.truth, j);
            let terms = change
                .outer_iter()
                .zip(trace.output.outer_iter())
                .map(|(change, output)| {
                    let after = &output + &change;
                    let words = format!("‖{} - {}‖²", vector(after.view()), vector(output));
                    (words, change.iter().map(|x| x * x).sum())
                });
            sum(f, j, terms.collect())?;
        }
        Ok(())
    }
}

/// The factors of one contribution, and the contribution.
fn term(score: Score, head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> Option<(String, f64)> {
    let factors = factors(score, head, trace, i, j)?;
    let words: Vec<String> = factors.iter().map(|factor| number(factor.1)).collect();
    Some((words.join(" · "), score.contributions(head, trace)[[i, j]]))
}

fn sum(f: &mut Formatter<'_>, token: usize, terms: Vec<(String, f64)>) -> fmt::Result {
    let total: f64 = terms.iter().map(|term| term.1).sum();
    let words: Vec<String> = terms.into_iter().map(|term| term.0).collect();
    writeln!(f, "  token {token}: {} = {}", words.join(" + "), number(total))
}

fn deed(truth: Perturbation) -> &'static str {
    match truth {
        Perturbation::Removal => "the token is removed and the other weights are renormalised",
        Perturbation::KeyZeroing => "the token's key becomes 0",
        Perturbation::ValueZeroing => "the token's value becomes 0",
        Perturbation::JointZeroing => "the token's key and value become 0",
    }
}
