//! The smallest attention problem in which a selection keeps a set that is clearly worse than another of its size.

use std::cell::Cell;
use std::fmt::{self, Display, Formatter};

use obcache_scores::select::sets::greedy;
use obcache_scores::select::sets::{addition, cholesky, exchange, exhaustive, gram, halving};
use obcache_scores::select::{Budget, Protection, evicted, select};
use obcache_scores::{Score, accumulate};
use obd_core::{AttentionTrace, Head, QueryWindow};
use reference_attention::{attend, oracle};

use super::by_hand::{errors_without, number, problem};
use super::draw::{first, runner};
use super::small_heads::SIZES;
use crate::names::{Ranking, Selection, SetSelection};

/// A set is clearly worse than another if it costs more than this times as much.
const CLEAR: f64 = 1.1;

/// Errors that differ by less than this are not told from each other by five printed digits.
const LEAST: f64 = 1e-2;

const WINDOW: QueryWindow = QueryWindow::All;

/// A selection in words, and as the tokens that it keeps to a budget.
#[derive(Clone, Copy)]
struct Definition {
    selection: Selection,
    words: &'static str,
    keep: fn(&Head, &AttentionTrace, usize) -> Vec<usize>,
}

const fn set(
    set: SetSelection,
    words: &'static str,
    keep: fn(&Head, &AttentionTrace, usize) -> Vec<usize>,
) -> Definition {
    Definition {
        selection: Selection::Set(set),
        words,
        keep,
    }
}

const DEFINITIONS: [Definition; 7] = [
    Definition {
        selection: Selection::Ranking(Ranking::Score(Score::Removal)),
        words: "keeps the tokens whose single removal costs most",
        keep: |head, trace, budget| {
            let saliency = accumulate(&Score::Removal.contributions(head, trace), WINDOW);
            select(&saliency, Budget::Tokens(budget), Protection::default())
                .expect("errors of small numbers are numbers")
        },
    },
    set(
        SetSelection::Greedy,
        "evicts, one after the other, the token that costs the set least",
        |head, trace, budget| greedy::order(head, trace, WINDOW).split_off(head.kv_len() - budget),
    ),
    set(
        SetSelection::Halving,
        "evicts half of what must go among three candidates for each, scores again, and evicts the rest",
        |head, trace, budget| halving::keep(head, trace, WINDOW, budget, Protection::default()),
    ),
    set(
        SetSelection::Exchange,
        "swaps, in what halving keeps, the most missed tokens for the least needed ones while the error falls",
        |head, trace, budget| exchange::halving_and_exchange(head, trace, WINDOW, budget, Protection::default()),
    ),
    set(
        SetSelection::Addition,
        "keeps, one after the other, the token that leaves the least error",
        |head, trace, budget| addition::order(head, trace, WINDOW, budget),
    ),
    set(
        SetSelection::Gram,
        "evicts as greedy does, to first order: no weight is renormalised",
        |head, trace, budget| {
            let gone = gram::order(&obd_core::gram::gram(head, trace, WINDOW), head.kv_len() - budget);
            evicted(head.kv_len(), &gone)
        },
    ),
    set(
        SetSelection::Cholesky,
        "keeps the pivots of the Gram matrix: the tokens whose perturbations span the others'",
        |head, trace, budget| cholesky::order(&obd_core::gram::gram(head, trace, WINDOW), budget),
    ),
];

/// The selections that can be searched.
pub fn selections() -> [Selection; DEFINITIONS.len()] {
    DEFINITIONS.map(|definition| definition.selection)
}

/// Two sets of one size; displays as numbers that can be checked by hand.
pub struct Example {
    definition: Definition,
    head: Head,
    sets: Sets,
    problems: usize,
}

/// What a selection evicts, and what costs clearly less.
struct Sets {
    gone: Vec<usize>,
    better: Vec<usize>,
}

/// Searches problems drawn as for scores, every budget and all queries in the window; the truth is every set, by brute force. The same
/// arguments give the same outcome: an example if there is one among so many problems, and how many there were.
///
/// `None` where the selection is not one of [`selections`].
pub fn search(selection: Selection, seed: u64) -> Option<(Option<Example>, usize)> {
    let definition = DEFINITIONS
        .into_iter()
        .find(|definition| definition.selection == selection)?;
    let tried = Cell::new(0);
    let found = SIZES
        .into_iter()
        .enumerate()
        .find_map(|(stream, size)| first(runner(seed, stream), size, &tried, |head| beaten(&definition, head)));
    let example = found.map(|(head, sets, problems)| Example {
        definition,
        head,
        sets,
        problems,
    });
    Some((example, tried.get()))
}

/// The sets at the first budget at which the selection is clearly beaten.
fn beaten(definition: &Definition, head: &Head) -> Option<Sets> {
    let (tokens, trace) = (head.kv_len(), attend(head));
    (1..tokens).find_map(|budget| {
        let gone = evicted(tokens, &(definition.keep)(head, &trace, budget));
        let better = evicted(tokens, &exhaustive::keep(head, &trace, WINDOW, budget)?);
        let (own, least) = (error(head, &gone), error(head, &better));
        (own > CLEAR * least && own > least + LEAST).then_some(Sets { gone, better })
    })
}

fn error(head: &Head, set: &[usize]) -> f64 {
    oracle::error(&oracle::set_removal(head, set), WINDOW)
}

impl Display for Example {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Definition { selection, words, .. } = self.definition;
        let Sets { gone, better } = &self.sets;
        writeln!(
            f,
            "The selection `{selection}` {words}.\nHere it evicts {} where {} would cost less.",
            listed(gone),
            listed(better)
        )?;
        let trace = attend(&self.head);
        problem(f, &self.head, &trace, self.problems)?;
        errors_without(f, &self.head, &trace, &[gone, better])?;
        let (own, least) = (error(&self.head, gone), error(&self.head, better));
        writeln!(
            f,
            "\n{} against {}, the least of all sets of {}",
            number(own),
            number(least),
            gone.len()
        )
    }
}

fn listed(tokens: &[usize]) -> String {
    let words: Vec<String> = tokens.iter().map(usize::to_string).collect();
    words.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selection_is_beaten_on_a_few_tokens() {
        for selection in selections() {
            let example = search(selection, 0).unwrap().0.unwrap();
            let Sets { gone, better } = &example.sets;
            assert_eq!(gone.len(), better.len());
            assert!(error(&example.head, gone) > CLEAR * error(&example.head, better));
            assert!(example.to_string().contains(example.definition.words));
        }
        assert!(search(SetSelection::Beam.into(), 0).is_none());
    }

    #[test]
    fn a_tie_beats_nothing() {
        let even = Head::new(
            ndarray::array![[0.0]],
            ndarray::Array2::zeros((3, 1)),
            ndarray::Array2::ones((3, 1)),
        );
        for definition in DEFINITIONS {
            assert!(beaten(&definition, even.as_ref().unwrap()).is_none());
        }
    }
}
