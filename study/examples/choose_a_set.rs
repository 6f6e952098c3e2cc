//! Chooses a fifth of the tokens of every head of a capture in five ways: the error each leaves on the past, on the queries to
//! come, its time over greedy removal's, and how many of the newest 16 tokens it keeps.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use capture::Capture;
use obcache_scores::exact::set;
use obcache_scores::select::sets::greedy;
use obcache_scores::select::sets::{addition, exchange, halving};
use obcache_scores::select::{Protection, evicted};
use obd_core::{AttentionTrace, Head, QueryWindow};
use reference_attention::attend;

/// The newest tokens that are counted, and that removal leaves alone in one of the ways.
const NEWEST: usize = 16;

/// The tokens that a selection keeps of a head, to a budget.
type Select = fn(&Head, &AttentionTrace, usize) -> Vec<usize>;

// ANCHOR: select
const SELECTIONS: [(&str, Select); 5] = [
    ("greedy removal", |head, trace, budget| {
        let order = greedy::order(head, trace, QueryWindow::All);
        order[order.len() - budget..].to_vec()
    }),
    ("halving", |head, trace, budget| {
        halving::keep(head, trace, QueryWindow::All, budget, Protection::default())
    }),
    ("exchange", |head, trace, budget| {
        exchange::halving_and_exchange(head, trace, QueryWindow::All, budget, Protection::default())
    }),
    ("removal but 16", |head, trace, budget| {
        let (order, newest) = (greedy::order(head, trace, QueryWindow::All), head.kv_len() - NEWEST);
        let others = order.into_iter().rev().filter(|&token| token < newest);
        (newest..head.kv_len()).chain(others).take(budget).collect()
    }),
    ("greedy addition", |head, trace, budget| {
        addition::order(head, trace, QueryWindow::All, budget)
    }),
];
// ANCHOR_END: select

/// Sums over the heads: logarithms of the two errors over greedy removal's, seconds, newest tokens kept.
#[derive(Clone, Copy, Default)]
struct Sums {
    past: f64,
    future: f64,
    seconds: f64,
    newest: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../captures/text-384.safetensors");
    let capture = Capture::read(&std::env::args_os().nth(1).map_or(shipped, PathBuf::from))?;
    let (mut sums, mut heads, mut further) = ([Sums::default(); SELECTIONS.len()], 0.0, 0.0);
    for layer in 0..capture.layers().len() {
        for index in 0..capture.groups().num_query_heads() {
            heads += 1.0;
            let head = capture.head(layer, index)?;
            further += further_than_zero(&head);
            add(&mut sums, &head);
        }
    }
    println!(
        "{:16} {:>10} {:>12} {:>8} {:>16}",
        "", "past error", "future error", "time", "of the newest 16"
    );
    for ((name, _), sum) in SELECTIONS.iter().zip(&sums) {
        println!(
            "{name:16} {:>10.2} {:>12.2} {:>8.2} {:>16.1}",
            (sum.past / heads).exp(),
            (sum.future / heads).exp(),
            sum.seconds / sums[0].seconds,
            sum.newest / heads
        );
    }
    println!(
        "{:.0} % of the values that a query sees are further from its output than 0 is",
        100.0 * further / heads
    );
    Ok(())
}

/// The share of the seen pairs whose value is further from the output than 0 is.
fn further_than_zero(head: &Head) -> f64 {
    let trace = attend(head);
    let (mut seen, mut further) = (0.0, 0.0);
    for (i, output) in trace.output.rows().into_iter().enumerate() {
        for value in (0..head.kv_len())
            .filter(|&j| head.visibility().visible(i, j))
            .map(|j| head.value().row(j))
        {
            let gap = &value - &output;
            seen += 1.0;
            further += f64::from(u8::from(gap.dot(&gap) > output.dot(&output)));
        }
    }
    further / seen
}

/// Chooses from what the first half of the tokens sees, and judges there and on the other half.
fn add(sums: &mut [Sums], head: &Head) {
    let (tokens, trace) = (head.kv_len() / 2, attend(head));
    let Some(past) = head.prefix(tokens) else { return };
    let past_trace = attend(&past);
    let mut first = None;
    for ((_, select), sum) in SELECTIONS.iter().zip(sums) {
        let start = Instant::now();
        let gone = evicted(tokens, &select(&past, &past_trace, tokens / 5));
        sum.seconds += start.elapsed().as_secs_f64();
        let on_past = set::removal_error(&past, &past_trace, &gone, QueryWindow::All).ln();
        let on_future = set::removal_error(
            head,
            &trace,
            &gone,
            QueryWindow::Last(head.query_len() - past.query_len()),
        )
        .ln();
        let (past_greedy, future_greedy) = *first.get_or_insert((on_past, on_future));
        sum.past += on_past - past_greedy;
        sum.future += on_future - future_greedy;
        sum.newest += (tokens - NEWEST..tokens).filter(|token| !gone.contains(token)).count() as f64;
    }
}
