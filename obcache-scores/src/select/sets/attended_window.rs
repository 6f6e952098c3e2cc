//! What the queries of a window see of some of the tokens: what sets of tokens are chosen by.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::exact::survivors::{Survivors, UNDERFLOW, odds_from_inputs};

/// The head, what attention made of it, and the queries whose outputs count.
#[derive(Clone, Copy)]
pub(crate) struct AttendedWindow<'a> {
    pub head: &'a Head,
    pub trace: &'a AttentionTrace,
    pub window: QueryWindow,
}

impl AttendedWindow<'_> {
    /// The queries of the window.
    pub fn queries(&self) -> Range<usize> {
        self.window.queries(self.head.query_len())
    }

    /// The old weights of `queries` on `tokens`, shape (queries, tokens).
    pub fn weights(&self, queries: &[usize], tokens: &[usize]) -> Array2<f64> {
        let shape = (queries.len(), tokens.len());
        Array2::from_shape_fn(shape, |(at, slot)| self.trace.weights[[queries[at], tokens[slot]]])
    }

    /// The part of their weight that `queries` still have where `tokens` are kept, and their output, one row a query.
    pub fn attend(&self, queries: &[usize], tokens: &[usize]) -> (Array1<f64>, Array2<f64>) {
        let (head, weights) = (self.head, self.weights(queries, tokens));
        let mut left = weights.sum_axis(Axis(1));
        let mut output = weights.dot(&head.value().select(Axis(0), tokens));
        for ((left, mut output), &i) in left.iter_mut().zip(output.rows_mut()).zip(queries) {
            *left += self.trace.sink_weight(head, i);
            if *left >= UNDERFLOW {
                output /= *left;
            } else {
                output.assign(&self.output_over(i, tokens, None));
            }
        }
        (left, output)
    }

    /// Outputs of the window's queries over all tokens, shape (queries, value_dim).
    pub fn output(&self) -> ArrayView2<'_, f64> {
        self.trace.output.slice(s![self.queries(), ..])
    }

    /// Output of `query` over the `kept` tokens, ascending, but `gone`, shape (value_dim).
    pub fn output_over(&self, query: usize, kept: &[usize], gone: Option<usize>) -> Array1<f64> {
        let keep = |j: usize| Some(j) != gone && kept.binary_search(&j).is_ok();
        Array1::from(Survivors::new(self.head, self.trace, query, keep).output)
    }

    /// Weights of `query` on `tokens` from its softmax inputs, of 1 over the `kept` tokens, ascending, and the sink.
    pub fn weights_over(&self, query: usize, kept: &[usize], tokens: &[usize]) -> Vec<f64> {
        let mut seen = kept.to_vec();
        seen.retain(|&token| self.head.visibility().visible(query, token));
        if seen.is_empty() {
            return vec![0.0; tokens.len()];
        }
        let (sink, odds) = odds_from_inputs(self.head, self.trace, query, &seen);
        let total = sink + odds.iter().sum::<f64>();
        // A token that is not kept, or that the query does not see, has no weight.
        let weight = |token| seen.binary_search(token).map_or(0.0, |place| odds[place] / total);
        tokens.iter().map(weight).collect()
    }
}
