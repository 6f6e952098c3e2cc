//! The tolerance of every saliency.

use ndarray::Array1;
use obd_core::{AttentionTrace, Head, QueryWindow};

use super::arithmetic::Arithmetic;
use super::contribution::Contribution;
use super::head::JudgedHead;
use super::pair::Pairs;
use super::softmax_row::SoftmaxRow;
use crate::OutputKind;

/// Tolerance of the saliency of every token over the queries of `window`, shape (kv_len). Claim C20.
///
/// `trace` is the trace of `head` in f64. For [`OutputKind::Output`] and [`OutputKind::LogSumExp`], which are no
/// saliencies, all 0.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn saliency(
    kind: OutputKind,
    window: QueryWindow,
    head: &Head,
    trace: &AttentionTrace,
    arithmetic: &Arithmetic,
) -> Array1<f64> {
    let judged = JudgedHead::new(head, trace, arithmetic);
    let mut sums = vec![Sum::default(); head.kv_len()];
    let mut classes: Vec<usize> = window.queries(head.query_len()).collect();
    classes.sort_by_key(|&i| (judged.query_class[i], i));
    for queries in classes.chunk_by(|&a, &b| judged.query_class[a] == judged.query_class[b]) {
        for row in queries.iter().filter_map(|&i| SoftmaxRow::new(&judged, i)) {
            let pairs = Pairs::new(&row, kind);
            for (place, &j) in row.tokens.iter().enumerate() {
                sums[j].add(pairs.contribution(place), pairs.floor(place));
            }
        }
        sums.iter_mut().for_each(Sum::close_class);
    }
    sums.iter().map(|sum| sum.tolerance(arithmetic)).collect()
}

/// The saliency of one token while its contributions are gathered, equal queries one after the other.
#[derive(Debug, Clone, Default)]
struct Sum {
    size: f64,
    /// Sum of the squared sensitivities of the classes of equal queries.
    variance: f64,
    /// Sensitivities of the class at hand, which are equal and add up.
    class: f64,
    members: f64,
    additions: f64,
    squared_lengths: f64,
    floor: f64,
}

impl Sum {
    fn add(&mut self, contribution: Contribution, floor: f64) {
        self.size += contribution.size;
        self.class += contribution.first;
        self.members += 1.0;
        self.squared_lengths += contribution.length.powi(2);
        self.floor += floor;
    }

    fn close_class(&mut self) {
        self.variance += self.class.powi(2);
        self.additions += self.members.powi(2);
        (self.class, self.members) = (0.0, 0.0);
    }

    fn tolerance(&self, arithmetic: &Arithmetic) -> f64 {
        if self.additions == 0.0 {
            return 0.0;
        }
        let unit = arithmetic.unit();
        let first = (self.variance + self.additions * self.size.powi(2)).sqrt();
        unit * first + unit * unit * self.squared_lengths + self.floor + arithmetic.storing(self.size)
    }
}
