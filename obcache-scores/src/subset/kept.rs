//! What the queries of a window see of a set of kept tokens alone, and of the set after some have left or joined it.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use obd_core::{AttentionTrace, Head, QueryWindow};

use super::step::Step;
use crate::survivors::{Survivors, UNDERFLOW};

/// An output is summed afresh when less than this of its weight is left since the last time: what is carried along is amplified by
/// the inverse of the weight left, so at most by 2.
pub(super) const REBUILD: f64 = 0.5;

/// The head, what attention made of it, and the queries whose outputs count.
#[derive(Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub head: &'a Head,
    pub trace: &'a AttentionTrace,
    pub window: QueryWindow,
}

impl Problem<'_> {
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
    fn attend(&self, queries: &[usize], tokens: &[usize]) -> (Array1<f64>, Array2<f64>) {
        let (head, weights) = (self.head, self.weights(queries, tokens));
        let mut left = weights.sum_axis(Axis(1));
        let mut output = weights.dot(&head.value().select(Axis(0), tokens));
        for ((left, mut output), &i) in left.iter_mut().zip(output.rows_mut()).zip(queries) {
            *left += self.trace.sink_weight(head, i);
            if *left >= UNDERFLOW {
                output /= *left;
            } else {
                let survivors = Survivors::new(head, self.trace, i, |j| tokens.binary_search(&j).is_ok());
                output.assign(&Array1::from(survivors.output));
            }
        }
        (left, output)
    }

    /// Outputs of the window's queries over all tokens, shape (queries, value_dim).
    pub fn output(&self) -> ArrayView2<'_, f64> {
        self.trace.output.slice(s![self.queries(), ..])
    }
}

/// Attention of the window's queries, renormalised over the kept tokens.
pub(crate) struct Kept<'a> {
    pub problem: Problem<'a>,
    /// Kept tokens, ascending.
    pub tokens: Vec<usize>,
    /// The part of its old weight that a query still has, sink included, shape (queries).
    pub left: Array1<f64>,
    /// The most that was left since the output was last summed afresh, shape (queries).
    most: Array1<f64>,
    /// Shape (queries, value_dim).
    pub output: Array2<f64>,
}

impl<'a> Kept<'a> {
    /// Attention over `tokens`, ascending.
    pub fn new(problem: Problem<'a>, tokens: Vec<usize>) -> Self {
        let queries: Vec<usize> = problem.queries().collect();
        let (left, output) = problem.attend(&queries, &tokens);
        Self {
            problem,
            tokens,
            most: left.clone(),
            left,
            output,
        }
    }

    /// Attention after `tokens`, which are all kept or all not, left or joined.
    pub fn after(&self, step: Step, tokens: &[usize]) -> Self {
        let queries: Vec<usize> = self.problem.queries().collect();
        let weights = self.problem.weights(&queries, tokens);
        let mut left = self.left.clone();
        left.scaled_add(step.sign(), &weights.sum_axis(Axis(1)));
        let most = Zip::from(&self.most)
            .and(&left)
            .map_collect(|most, left| most.max(*left));
        let mut output = &self.output * &self.left.view().insert_axis(Axis(1));
        output.scaled_add(
            step.sign(),
            &weights.dot(&self.problem.head.value().select(Axis(0), tokens)),
        );
        output /= &left.view().insert_axis(Axis(1));
        let mut after = Self {
            problem: self.problem,
            tokens: step.applied(&self.tokens, tokens),
            left,
            most,
            output,
        };
        after.refresh();
        after
    }

    /// Sums the outputs afresh of which too little weight is left.
    fn refresh(&mut self) {
        let poor = |&at: &usize| self.left[at] < REBUILD * self.most[at] || self.left[at] < UNDERFLOW;
        let rows: Vec<usize> = (0..self.left.len()).filter(poor).collect();
        let queries: Vec<usize> = rows.iter().map(|at| self.problem.queries().start + at).collect();
        let (left, output) = self.problem.attend(&queries, &self.tokens);
        for ((at, left), output) in rows.into_iter().zip(left).zip(output.rows()) {
            (self.left[at], self.most[at]) = (left, left);
            self.output.row_mut(at).assign(&output);
        }
    }

    /// The output less the one of all tokens, shape (queries, value_dim).
    pub fn change(&self) -> Array2<f64> {
        &self.output - &self.problem.output()
    }

    /// Exact error of the kept set.
    pub fn error(&self) -> f64 {
        self.change().iter().map(|change| change * change).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::evicted;
    use crate::set::removal_error;
    use crate::test_heads::{logs, problem, scattered, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn the_error_is_the_exact_one_of_the_set() {
        for head in [
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
            logs(),
            two_queries(),
        ] {
            let (trace, tokens) = (trace(&head), head.kv_len());
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                for kept in [vec![], vec![0], vec![1, 2], (0..tokens).collect()] {
                    let problem = problem(&head, &trace, window);
                    let exact = removal_error(&head, &trace, &evicted(tokens, &kept), window);
                    let error = Kept::new(problem, kept).error();
                    assert_relative_eq!(error, exact, max_relative = 1e-13, epsilon = 1e-28);
                }
            }
        }
    }

    #[test]
    fn tokens_that_left_and_joined_leave_the_same_as_those_that_stayed() {
        for head in [
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
            two_queries(),
        ] {
            let (trace, tokens) = (trace(&head), head.kv_len());
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let problem = problem(&head, &trace, window);
                let mut kept = Kept::new(problem, (0..tokens).collect());
                for (step, moved) in [
                    (Step::Evict, vec![0, 2]),
                    (Step::Evict, vec![1]),
                    (Step::Add, vec![2]),
                    (Step::Evict, (2..tokens).collect()),
                    (Step::Add, vec![1, 0]),
                ] {
                    kept = kept.after(step, &moved);
                    let fresh = Kept::new(problem, kept.tokens.clone());
                    assert!(kept.tokens.is_sorted());
                    assert_relative_eq!(kept.left, fresh.left, max_relative = 1e-14, epsilon = 1e-15);
                    assert_relative_eq!(kept.output, fresh.output, max_relative = 1e-13, epsilon = 1e-14);
                }
                assert_eq!(kept.tokens, [0, 1]);
            }
        }
    }

    #[test]
    fn an_output_is_summed_afresh_before_its_digits_are_lost() {
        // Weights of 1, 1e-8 and 1e-16 nearly: by subtraction the second would be left with half of its digits, the third with none.
        let key = array![[0.0], [1e-8f64.ln()], [1e-16f64.ln()]];
        let head = Head::new(array![[1.0]], key, array![[1.0], [3.0], [5.0]]).unwrap();
        let trace = trace(&head);
        let problem = problem(&head, &trace, QueryWindow::All);
        let two = Kept::new(problem, vec![0, 1, 2]).after(Step::Evict, &[0]);
        assert_relative_eq!(two.output[[0, 0]], 3.0 + 2e-8, max_relative = 1e-14);
        let one = two.after(Step::Evict, &[1]);
        assert_eq!(one.output, array![[5.0]]);
        assert_eq!(
            (one.left[0], one.most[0]),
            (trace.weights[[0, 2]], trace.weights[[0, 2]])
        );
        // What joined and left again was lent its weight: the most that was left is remembered.
        let back = one.after(Step::Add, &[0]).after(Step::Evict, &[0]);
        assert_eq!(back.output, array![[5.0]]);
    }

    #[test]
    fn what_is_left_counts_the_sink() {
        let head = logs().with_sink(0.0).unwrap();
        let trace = trace(&head);
        let problem = problem(&head, &trace, QueryWindow::All);
        let kept = Kept::new(problem, vec![1]);
        assert_relative_eq!(kept.left, array![3.0 / 9.0], max_relative = 1e-15);
        assert_relative_eq!(kept.output, array![[4.0 * 2.0 / 3.0]], max_relative = 1e-15);
    }

    #[test]
    fn weights_that_underflowed_are_taken_from_the_logits() {
        // Logits 0, ln 3 and 740: without the last the shares are 1/4 and 3/4, of exponentials that are subnormal.
        let head = Head::new(
            array![[1.0]],
            array![[0.0], [3f64.ln()], [740.0]],
            array![[4.0], [8.0], [1.0]],
        )
        .unwrap();
        let seen = AttentionTrace {
            logits: head.key().t().to_owned(),
            weights: array![[(-740f64).exp(), 3.0 * (-740f64).exp(), 1.0]],
            output: array![[1.0]],
            log_sum_exp: array![740.0],
        };
        let problem = problem(&head, &seen, QueryWindow::All);
        assert_relative_eq!(Kept::new(problem, vec![0, 1]).error(), 36.0, max_relative = 1e-13);
    }
}
