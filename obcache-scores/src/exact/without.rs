//! Every pair with what its query would see without the token: the common ground of all closed forms.
//!
//! ```text
//! rest_ij = 1 - a_ij        o'_ij = (o_i - a_ij v_j) / rest_ij        v_j - o_i = rest_ij (v_j - o'_ij)
//! ```
//! Written in v, o' and rest, no form cancels as a nears 1 (claim C12). At most one token of a row has a > 1/2; for
//! it rest and o' are summed from the others.

use ndarray::Array2;
use obd_core::{AttentionTrace, Head};

use crate::exact::survivors::{Survivors, log_sum_exp_of};

/// A head, its trace, and the leave-one-out view of every pair. Claim C12.
pub(crate) struct Without<'a> {
    head: &'a Head,
    trace: &'a AttentionTrace,
    /// Per query: the token that holds more than half of the weight, with what is left without it.
    dominant: Vec<Option<(usize, Survivors)>>,
}

impl<'a> Without<'a> {
    /// Prepares the rows of `trace`; O(query_len · kv_len), plus O(kv_len · value_dim) per dominated row.
    pub fn new(head: &'a Head, trace: &'a AttentionTrace) -> Self {
        let dominant = (0..head.query_len())
            .map(|i| {
                let token = (0..head.kv_len()).find(|&j| trace.weights[[i, j]] > 0.5)?;
                Some((token, Survivors::new(head, trace, i, |j| j != token)))
            })
            .collect();
        Self { head, trace, dominant }
    }

    /// The weight a of a pair.
    pub fn weight(&self, i: usize, j: usize) -> f64 {
        self.trace.weights[[i, j]]
    }

    /// The weight that query `i` leaves to all but token `j`, sink included.
    pub fn rest(&self, i: usize, j: usize) -> f64 {
        match &self.dominant[i] {
            Some((token, others)) if *token == j => others.weight,
            _ => 1.0 - self.weight(i, j),
        }
    }

    /// The logarithm of the odds of all others, sink included, against token `j` at logit 0; minus infinity where there
    /// are none. O(kv_len).
    pub fn log_odds_at_zero(&self, i: usize, j: usize) -> f64 {
        log_sum_exp_of(self.head, self.trace, i, |l| l != j) - self.head.bias(i, j)
    }

    /// The change vector of pair (i, j), built channel by channel from (v, o'), length value_dim.
    pub fn change(&self, i: usize, j: usize, channel: impl Fn(f64, f64) -> f64) -> impl Iterator<Item = f64> {
        let (weight, rest) = (self.weight(i, j), self.rest(i, j));
        let others = self.dominant[i].as_ref().filter(|(token, _)| *token == j);
        let (value, output) = (self.head.value().row(j), self.trace.output.row(i));
        (0..value.len()).map(move |c| {
            let without = match others {
                Some((_, others)) => others.output[c],
                None => (output[c] - weight * value[c]) / rest,
            };
            channel(value[c], without)
        })
    }

    /// Squared norms of the changes of all pairs, shape (query_len, kv_len); `channel` gets (i, j) and returns the
    /// function of (v, o'). Exactly 0 where masked.
    /// A visible pair is asked even where its weight underflowed to 0.
    pub fn squared_norms<F: Fn(f64, f64) -> f64>(&self, channel: impl Fn(usize, usize) -> F) -> Array2<f64> {
        Array2::from_shape_fn(self.trace.weights.dim(), |(i, j)| {
            if !self.head.visibility().visible(i, j) {
                return 0.0;
            }
            self.change(i, j, channel(i, j)).map(|change| change * change).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn rest_and_output_without_each_token() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0: output 2.
        let head = logs();
        let trace = trace(&head);
        let without = Without::new(&head, &trace);
        let outputs: Vec<f64> = (0..3).flat_map(|j| without.change(0, j, |_, others| others)).collect();
        for (j, (rest, output)) in [(7.0 / 8.0, 8.0 / 7.0), (6.0 / 8.0, 8.0 / 6.0), (3.0 / 8.0, 16.0 / 3.0)]
            .into_iter()
            .enumerate()
        {
            assert_relative_eq!(without.rest(0, j), rest, max_relative = 1e-15);
            assert_relative_eq!(outputs[j], output, max_relative = 1e-14);
        }
        assert_eq!(without.change(0, 1, |value, _| value).collect::<Vec<_>>(), [4.0]);
    }

    #[test]
    fn a_dominant_token_keeps_the_digits_of_the_others() {
        // One weight within 1e-20 of 1: 1 - a is 0 in floats, the sum of the others is not.
        let tiny = 1e-20f64;
        let head = Head::new(array![[1.0]], array![[tiny.ln()], [0.0]], array![[3.0], [5.0]]).unwrap();
        let trace = trace(&head);
        let without = Without::new(&head, &trace);
        assert_relative_eq!(without.rest(0, 1), tiny, max_relative = 1e-13, epsilon = 0.0);
        assert_eq!(
            without.change(0, 1, |value, others| value - others).collect::<Vec<_>>(),
            [2.0]
        );
        assert_eq!(without.rest(0, 0), 1.0);
    }

    #[test]
    fn norms_sum_over_channels_and_skip_masked_pairs() {
        let head = two_queries();
        let trace = trace(&head);
        let norms = Without::new(&head, &trace).squared_norms(|i, j| move |value: f64, _: f64| value + (i + j) as f64);
        // Values (4, 0), (0, 4), (2, 2): row 0 adds j, row 1 adds j + 1; the first query does not see the last token.
        assert_eq!(
            norms,
            array![[16.0, 1.0 + 25.0, 0.0], [25.0 + 1.0, 4.0 + 36.0, 25.0 + 25.0]]
        );
    }
}
