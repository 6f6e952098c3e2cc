//! A counterexample in numbers that can be checked by hand.

use std::fmt::{self, Display, Formatter};

use ndarray::ArrayView1;
use obcache_scores::Score;
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow};
use reference_attention::{attend, oracle};

use super::Counterexample;
use super::arithmetic::factors;
use super::field;

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

/// Where the problem was found, and its attention.
pub(super) fn problem(f: &mut Formatter<'_>, head: &Head, trace: &AttentionTrace, problems: usize) -> fmt::Result {
    writeln!(
        f,
        "Found in problem {problems} and shrunk. Scale 1; every query sees every token.\n"
    )?;
    for i in 0..head.query_len() {
        attention(f, head, trace, i)?;
    }
    Ok(())
}

/// One query: logits, weights and output.
fn attention(f: &mut Formatter<'_>, head: &Head, trace: &AttentionTrace, i: usize) -> fmt::Result {
    writeln!(f, "query {i}: q = {}", vector(head.query().row(i)))?;
    writeln!(
        f,
        "  {:<6} {:<10} {:<10} {:>8} {:>10} {:>10}",
        "token", "key k", "value v", "z = q.k", "exp z", "weight a"
    )?;
    for j in 0..head.kv_len() {
        let (key, value) = (vector(head.key().row(j)), vector(head.value().row(j)));
        let [z, exp, a] = [trace.logits[[i, j]], trace.logits[[i, j]].exp(), trace.weights[[i, j]]].map(number);
        writeln!(f, "  {j:<6} {key:<10} {value:<10} {z:>8} {exp:>10} {a:>10}")?;
    }
    let sum: f64 = trace.logits.row(i).iter().map(|z| z.exp()).sum();
    writeln!(
        f,
        "  a = exp z / {}; output o = sum of a v = {}\n",
        number(sum),
        vector(trace.output.row(i))
    )
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
        match self.score.parse::<Score>() {
            Ok(score) => {
                let symbols: Vec<&str> = factors(score, &self.head, trace, 0, 0)
                    .iter()
                    .map(|factor| factor.0)
                    .collect();
                writeln!(f, "score `{}` = {}{queries}", self.score, symbols.join(" · "))?;
                for j in self.pair() {
                    let terms = (0..self.head.query_len()).map(|i| term(score, &self.head, trace, i, j));
                    sum(f, j, terms.collect())?;
                }
            }
            Err(_) => {
                writeln!(f, "score `{}`: {}", self.score, heuristic(&self.score))?;
                for j in self.pair() {
                    writeln!(f, "  token {j}: {}", number(self.saliency[j]))?;
                }
            }
        }
        writeln!(f)
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
fn term(score: Score, head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> (String, f64) {
    let factors = factors(score, head, trace, i, j);
    let words: Vec<String> = factors.iter().map(|factor| number(factor.1)).collect();
    (words.join(" · "), score.contributions(head, trace)[[i, j]])
}

fn sum(f: &mut Formatter<'_>, token: usize, terms: Vec<(String, f64)>) -> fmt::Result {
    let total: f64 = terms.iter().map(|term| term.1).sum();
    let words: Vec<String> = terms.into_iter().map(|term| term.0).collect();
    writeln!(f, "  token {token}: {} = {}", words.join(" + "), number(total))
}

fn heuristic(name: &str) -> &'static str {
    if let Some(words) = field::words(name) {
        return words;
    }
    match name {
        "weight-maxpool" => "the largest summed weight among a token and its 3 neighbours on each side",
        "weight-avgpool" => "the summed weights of a token and its 3 neighbours on each side, over 7",
        _ => "position: the first 4 tokens, then the newer the higher",
    }
}

/// What each of `sets` costs, attention run again without it.
pub(super) fn errors_without(
    f: &mut Formatter<'_>,
    head: &Head,
    trace: &AttentionTrace,
    sets: &[&[usize]],
) -> fmt::Result {
    writeln!(f, "error = ‖o without the tokens - o‖², attention run again")?;
    for set in sets {
        let change = oracle::set_removal(head, set);
        let rows = change.outer_iter().zip(trace.output.outer_iter());
        let words: Vec<String> = rows
            .map(|(change, output)| format!("‖{} - {}‖²", vector((&output + &change).view()), vector(output)))
            .collect();
        let names: Vec<String> = set.iter().map(usize::to_string).collect();
        writeln!(
            f,
            "  without {}: {} = {}",
            names.join(" and "),
            words.join(" + "),
            number(oracle::error(&change, QueryWindow::All))
        )?;
    }
    Ok(())
}

fn deed(truth: Perturbation) -> &'static str {
    match truth {
        Perturbation::Removal => "the token is removed and the other weights are renormalised",
        Perturbation::KeyZeroing => "the token's key becomes 0",
        Perturbation::ValueZeroing => "the token's value becomes 0",
        Perturbation::JointZeroing => "the token's key and value become 0",
    }
}

pub(super) fn vector(numbers: ArrayView1<f64>) -> String {
    let words: Vec<String> = numbers.iter().map(|&x| number(x)).collect();
    format!("[{}]", words.join(", "))
}

/// Whole numbers as they are, others to five significant digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if x.fract() == 0.0 && x.abs() < 1e5 {
        return format!("{x}");
    }
    let digits = 4 - x.abs().log10().floor() as i32;
    match usize::try_from(digits) {
        Ok(digits) if digits < 9 => format!("{x:.digits$}"),
        _ => format!("{x:.4e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_digits_are_printed() {
        for (x, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-3.0, "-3"),
            (0.268_941_4, "0.26894"),
            (12.345_67, "12.346"),
            (1.234_567e-3, "0.0012346"),
            (1.234_567e-7, "1.2346e-7"),
            (2_981_000.5, "2.9810e6"),
        ] {
            assert_eq!(number(x), text);
        }
    }
}
