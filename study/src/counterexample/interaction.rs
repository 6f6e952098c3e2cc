//! The smallest attention problem in which two tokens cost clearly more, or clearly less, together than one by one.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};

use obd_core::{Head, Perturbation, QueryWindow};
use reference_attention::{attend, oracle};

use super::by_hand::{errors_without, number, problem};
use super::draw::{first, runner};
use super::small_heads::SIZES;

/// Clearly more is more than this times the sum of both errors, clearly less is less than the sum over this.
const CLEAR: f64 = 3.0;

/// Errors below this are not told from each other by five printed digits.
const LEAST: f64 = 1e-2;

/// How two errors add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// The set costs more than its tokens one by one.
    SuperAdditive,
    /// The set costs less.
    SubAdditive,
}

impl Interaction {
    /// Both, in the order of their names on the command line.
    pub const ALL: [Self; 2] = [Self::SuperAdditive, Self::SubAdditive];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SuperAdditive => "super-additive",
            Self::SubAdditive => "sub-additive",
        }
    }

    /// Whether it holds clearly; a set of no error of tokens that have some is clearly sub-additive.
    fn holds(self, together: f64, sum: f64) -> bool {
        match self {
            Self::SuperAdditive => together >= LEAST && together > CLEAR * sum,
            Self::SubAdditive => sum >= LEAST && together < sum / CLEAR,
        }
    }
}

/// Two tokens that interact; displays as numbers that can be checked by hand.
pub struct Example {
    interaction: Interaction,
    head: Head,
    pair: [usize; 2],
    problems: usize,
}

/// Searches problems of three tokens and more, drawn as for scores, all queries in the window. The same arguments give the same
/// outcome; `None` where there is none among them.
pub fn search(interaction: Interaction, seed: u64) -> Option<Example> {
    let tried = Cell::new(0);
    // Of two tokens the pair is all there is, and takes the whole output.
    let mut sizes = SIZES.into_iter().enumerate().filter(|(_, size)| size.tokens >= 3);
    let found = sizes.find_map(|(stream, size)| {
        first(runner(seed, stream), size, &tried, |head| {
            interacting(interaction, head)
        })
    });
    found.map(|(head, pair, problems)| Example {
        interaction,
        head,
        pair,
        problems,
    })
}

/// The first pair that interacts so.
fn interacting(interaction: Interaction, head: &Head) -> Option<[usize; 2]> {
    let tokens = head.kv_len();
    let alone = oracle::token_errors(head, Perturbation::Removal, QueryWindow::All);
    let pairs = (0..tokens).flat_map(|a| (a + 1..tokens).map(move |b| [a, b]));
    let holds = |pair: &[usize; 2]| interaction.holds(together(head, pair), alone[pair[0]] + alone[pair[1]]);
    pairs.into_iter().find(holds)
}

fn together(head: &Head, pair: &[usize]) -> f64 {
    oracle::error(&oracle::set_removal(head, pair), QueryWindow::All)
}

impl Display for Example {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ([a, b], trace) = (self.pair, attend(&self.head));
        let verdict = match self.interaction {
            Interaction::SuperAdditive => "more",
            Interaction::SubAdditive => "less",
        };
        writeln!(
            f,
            "Losing tokens {a} and {b} together costs {verdict} than losing them one by one: {}.",
            self.interaction.name()
        )?;
        problem(f, &self.head, &trace, self.problems)?;
        errors_without(f, &self.head, &trace, &[&[a], &[b], &[a, b]])?;
        let sum = together(&self.head, &[a]) + together(&self.head, &[b]);
        writeln!(
            f,
            "\none by one {}, together {}",
            number(sum),
            number(together(&self.head, &self.pair))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_found_small_and_checked_by_brute_force() {
        for interaction in Interaction::ALL {
            let example = search(interaction, 0).unwrap();
            let alone: f64 = example
                .pair
                .iter()
                .map(|&token| together(&example.head, &[token]))
                .sum();
            assert!(interaction.holds(together(&example.head, &example.pair), alone));
            assert_eq!(example.head.kv_len(), 3);
            assert!(example.to_string().contains(interaction.name()));
        }
    }

    #[test]
    fn the_margins_are_clear() {
        let [more, less] = Interaction::ALL;
        assert!(more.holds(3.1, 1.0) && !more.holds(2.9, 1.0) && !more.holds(9e-3, 0.0));
        assert!(less.holds(0.3, 1.0) && !less.holds(0.4, 1.0) && !less.holds(0.0, 9e-3));
    }
}
